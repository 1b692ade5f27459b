"""A scan over time: elementwise nodes repeated step by step, compiled to one kernel where that can be had."""

from collections.abc import Mapping, Sequence

import torch
from onnx import NodeProto

from spikec.runtime.layers.kernels import Kernel, kernel_of
from spikec.runtime.layers.plan import Scan
from spikec.runtime.torch_backend import TorchBackend

Tensor = torch.Tensor
Tensors = dict[str, Tensor]


class Scanner:
    """Runs one ``Scan`` over a stretch of time."""

    def __init__(self, scan: Scan, stacked: set[str], engine: TorchBackend, compiled: bool) -> None:
        read = list(dict.fromkeys(name for node in scan.nodes for name in node.input if name))
        made = {name for node in scan.nodes for name in node.output}
        before = [name for name, _ in scan.carried]
        self.scan = scan
        self.stacked = [n for n in read if n in stacked and n not in made and n not in before]
        self.still = [n for n in read if n not in stacked and n not in made and n not in before]
        self.reads = (*self.stacked, *self.still)
        names = [*before, *self.reads]
        wanted = [*(after for _, after in scan.carried), *scan.outputs]
        counts = (len(before), len(self.stacked), len(self.still))
        rounded = () if engine.matrix_dtype == engine.dtype else _events(scan)
        self.kernel: Kernel = kernel_of(
            *_anonymous(scan.nodes, names, wanted),
            counts, engine.dtype, engine.device, compiled, rounded, engine.matrix_dtype,
        )  # fmt: skip

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


def _anonymous(
    nodes: Sequence[NodeProto], names: Sequence[str], wanted: Sequence[str]
) -> tuple[tuple[bytes, ...], tuple[str, ...], tuple[str, ...]]:
    """The nodes with numbers for names: neurons that differ in nothing else share one kernel."""
    numbers = {"": ""} | {name: f"i{i}" for i, name in enumerate(names)}
    for node in nodes:
        for name in node.output:
            numbers.setdefault(name, f"t{len(numbers)}")
    copies = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.doc_string = "", ""
        copy.input[:] = [numbers[name] for name in node.input]
        copy.output[:] = [numbers[name] for name in node.output]
        copies.append(copy.SerializeToString(deterministic=True))
    return tuple(copies), tuple(numbers[name] for name in names), tuple(numbers[name] for name in wanted)
