"""The stages of a step graph, ready to run."""

from collections import Counter
from collections.abc import Sequence, Set

import torch

from spikec.runtime.layers.folding import Folded
from spikec.runtime.layers.forms import Forms, forms
from spikec.runtime.layers.kernels import in_triton
from spikec.runtime.layers.plan import Scan, Stage
from spikec.runtime.layers.planner import plan_layers
from spikec.runtime.layers.rows import RowScanner
from spikec.runtime.layers.scan import Scanner
from spikec.runtime.parts import CLOCK, Parts
from spikec.runtime.stepwise import Tensors
from spikec.runtime.torch_backend import TorchBackend

Made = Scanner | Folded | RowScanner


def make_stage(stage: Stage, stacked: Set[str], engine: TorchBackend, compiled: bool, given: Forms) -> Made:
    """The stage ready to run.

    Args:
        stage: one of a plan.
        stacked: the tensors that have a value for each step.
        engine: the torch backend.
        compiled: whether scans are compiled.
        given: how scans give their outputs.
    """
    if not isinstance(stage, Scan):
        return Folded(stage, stacked, engine)
    scanner = Scanner(stage, stacked, engine, compiled, given)
    if stage.row is None:
        return scanner
    return RowScanner(scanner, [make_stage(part, stacked, engine, compiled, given) for part in stage.apart])


class Layers:
    """The stages of one step graph, made ready for one set of wanted tensors."""

    def __init__(self, parts: Parts, engine: TorchBackend, wanted: Sequence[str], compiled: bool) -> None:
        fused = compiled and in_triton(engine.dtype, engine.device)
        plan = plan_layers(parts, wanted, fused=fused)
        self.wanted = set(wanted)
        given = forms(plan, self.wanted, set(engine.constants), ordered=fused)
        self.stages = [make_stage(stage, plan.stacked, engine, compiled, given) for stage in plan.stages]
        self.constants = engine.constants
        self.uses = Counter(name for stage in self.stages for name in stage.reads)

    def __call__(self, held: Tensors, states: Tensors, clock: torch.Tensor) -> tuple[Tensors, int]:
        """Advance ``states`` by the steps of ``clock``: the wanted tensors (steps, ...), and the peak in bytes."""
        tensors: Tensors = {**self.constants, **held, CLOCK: clock}
        left, peak, live = Counter(self.uses), 0, 0
        for stage in self.stages:
            made = stage(tensors, states, len(clock))
            tensors |= made
            live += sum(tensor.nbytes for tensor in made.values())
            peak = max(peak, live)
            for name in stage.reads:
                left[name] -= 1
                if not left[name] and name not in self.wanted and name not in self.constants and name not in held:
                    live -= tensors.pop(name).nbytes
        return {name: tensors[name] for name in self.wanted}, peak
