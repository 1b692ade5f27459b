"""A scan over time: elementwise nodes repeated step by step, compiled to one kernel where that can be had."""

from collections.abc import Mapping, Set

import torch

from spikec.runtime.layers.forms import Forms
from spikec.runtime.layers.kernels import Kernel, kernel_of
from spikec.runtime.layers.loop import Loop, anonymous
from spikec.runtime.layers.plan import Scan
from spikec.runtime.torch_backend import TorchBackend

Tensor = torch.Tensor
Tensors = dict[str, Tensor]


class Scanner:
    """Runs one ``Scan`` over a stretch of time; ``forms`` says how outputs are given."""

    def __init__(self, scan: Scan, stacked: Set[str], engine: TorchBackend, compiled: bool, forms: Forms) -> None:
        read = list(dict.fromkeys(name for node in scan.nodes for name in node.input if name))
        made = {name for node in scan.nodes for name in node.output}
        before = [name for name, _ in scan.carried]
        self.scan = scan
        self.stacked = [n for n in read if n in stacked and n not in made and n not in before]
        self.still = [n for n in read if n not in stacked and n not in made and n not in before]
        self.reads = (*self.stacked, *self.still)
        names = [*before, *self.reads]
        wanted = [*(after for _, after in scan.carried), *scan.outputs]
        coarse = engine.matrix_dtype != engine.dtype
        rounded = _events(scan) if coarse else ()
        low = (i for i, name in enumerate(scan.outputs) if coarse and name in forms.low)
        loop = Loop(
            *anonymous(scan.nodes, names, wanted), (len(before), len(self.stacked), len(self.still)), rounded,
            tuple(i for i in low if i not in {event for event, _ in rounded}), scan.row,
            next((forms.orders[name] for name in scan.outputs if name in forms.orders), None),
        )  # fmt: skip
        self.kernel: Kernel = kernel_of(loop, engine.dtype, engine.device, compiled, engine.matrix_dtype)

    def __call__(self, tensors: Mapping[str, Tensor], states: Tensors, steps: int) -> Tensors:
        """Advance ``states`` by so many steps; returns the outputs, with a value for each of them (steps, ...)."""
        carried = [states[name] for name, _ in self.scan.carried]
        stacks = [tensors[name] for name in self.stacked]
        after, outputs = self.kernel(carried, stacks, [tensors[name] for name in self.still], steps)
        states.update(zip((name for name, _ in self.scan.carried), after, strict=True))
        return dict(zip(self.scan.outputs, outputs, strict=True))


def _events(scan: Scan) -> tuple[tuple[int, int], ...]:
    """Positions of the event among the outputs and of its neuron's value among the states."""
    after = [name for _, name in scan.carried]
    return tuple((scan.outputs.index(e), after.index(v)) for e, v in scan.events if e in scan.outputs)
