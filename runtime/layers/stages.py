"""The stages of a step graph, ready to run."""

from collections import Counter
from collections.abc import Sequence

import torch

from spikec.runtime.layers.folding import Folded
from spikec.runtime.layers.plan import Scan, plan_layers
from spikec.runtime.layers.scan import Scanner
from spikec.runtime.parts import CLOCK, Parts
from spikec.runtime.stepwise import Tensors
from spikec.runtime.torch_backend import TorchBackend


class Layers:
    """The stages of one step graph, made ready for one set of wanted tensors."""

    def __init__(self, parts: Parts, engine: TorchBackend, wanted: Sequence[str], compiled: bool) -> None:
        plan = plan_layers(parts, wanted)
        self.wanted = set(wanted)
        self.stages: list[Scanner | Folded] = []
        for stage in plan.stages:
            if isinstance(stage, Scan):
                self.stages.append(Scanner(stage, plan.stacked, engine, compiled))
            else:
                self.stages.append(Folded(stage, plan.stacked, engine))
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
