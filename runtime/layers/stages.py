"""The stages of a step graph, ready to run."""

from collections import Counter
from collections.abc import Sequence, Set

import torch

from spikec.runtime.layers.folding import Folded, on_host
from spikec.runtime.layers.forms import Forms, forms
from spikec.runtime.layers.integer_products import IntegerProduct
from spikec.runtime.layers.integer_spikes import DOMAIN, IntegerSpikes
from spikec.runtime.layers.kernels import in_triton
from spikec.runtime.layers.plan import Fold, Scan, Stage
from spikec.runtime.layers.planner import plan_layers
from spikec.runtime.layers.rows import RowScanner
from spikec.runtime.layers.scan import Scanner
from spikec.runtime.layers.starting import Shapes, unmoved
from spikec.runtime.parts import CLOCK
from spikec.runtime.stepwise import Tensors
from spikec.runtime.torch_backend import TorchBackend

MOST_KEPT = 8  # shapes of the samples, as for initial states
Planned = Scanner | Folded | RowScanner
Made = Planned | IntegerProduct


def make_stage(stage: Stage, stacked: Set[str], engine: TorchBackend, compiled: bool, given: Forms) -> Planned:
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
    """The stages of one step graph, made ready for one set of wanted tensors.

    What depends on nothing but the shapes of the network's inputs is computed once for each; a few are kept.
    """

    def __init__(self, spikes: IntegerSpikes, engine: TorchBackend, wanted: Sequence[str], compiled: bool) -> None:
        parts = spikes.parts
        fused = compiled and in_triton(engine.dtype, engine.device)
        plan = plan_layers(parts, wanted, fused=fused)
        self.wanted = set(wanted)
        given = forms(plan, self.wanted, set(engine.constants), ordered=fused)

        def made(stage: Stage) -> Made:
            if isinstance(stage, Fold) and stage.nodes[0].domain == DOMAIN:
                return IntegerProduct(stage, spikes.products[stage.outputs[0]])
            return make_stage(stage, plan.stacked, engine, compiled, given)

        self.stages: list[Made] = [made(stage) for stage in plan.stages]
        self.constants = engine.constants
        self.uses = Counter(name for stage in self.stages for name in stage.reads)
        unreached = unmoved(parts.init, (info.name for info in parts.inputs))
        self.fixed = {name for name in parts.manifest.held if name in unreached}
        self.fixed |= _fixed([stage for stage in self.stages if isinstance(stage, Folded)], self.fixed)
        self._kept: dict[tuple[Shapes, int], Tensors] = {}

    def __call__(
        self, held: Tensors, states: Tensors, clock: torch.Tensor, shapes: Shapes | None = None
    ) -> tuple[Tensors, int]:
        """Advance ``states`` by the steps of ``clock``: the wanted tensors (steps, ...), and the peak in bytes.

        ``shapes`` are those of the network's inputs; without them nothing is kept.
        """
        kept = {} if shapes is None else self.kept_for(held, len(clock), shapes)
        tensors: Tensors = {**self.constants, **held, CLOCK: clock, **kept}
        left, peak, live = Counter(self.uses), 0, 0
        for stage in self.stages:
            made = self._made(stage, tensors, states, len(clock), kept)
            tensors |= made
            live += sum(tensor.nbytes for tensor in made.values())
            peak = max(peak, live)
            for name in stage.reads:
                left[name] -= 1
                if not left[name] and name not in self.wanted and name not in self.constants and name not in held:
                    live -= tensors.pop(name).nbytes
        return {name: tensors[name] for name in self.wanted}, peak

    def kept_for(self, held: Tensors, steps: int, shapes: Shapes) -> Tensors:
        """What is kept for these shapes: fixed tensors, and copies in main memory of those that hold integers."""
        if (shapes, steps) not in self._kept:
            if len(self._kept) == MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[shapes, steps] = _copies({name: held[name] for name in self.fixed if name in held})
        return self._kept[shapes, steps]

    def _made(self, stage: Made, tensors: Tensors, states: Tensors, steps: int, kept: Tensors) -> Tensors:
        if not isinstance(stage, Folded) or not self.fixed.issuperset(stage.fold.outputs):
            return stage(tensors, states, steps)
        if not all(name in kept for name in stage.fold.outputs):
            made = stage(tensors, states, steps)
            kept |= made | _copies(made)
        return {name: kept[name] for name in (*stage.fold.outputs, *map(on_host, stage.fold.outputs)) if name in kept}


def _fixed(stages: Sequence[Folded], known: Set[str]) -> set[str]:
    """The tensors that are known before the samples are: shapes, and what is made of shapes alone."""
    found = set(known)
    for stage in stages:
        if stage.fold.kind == "shape" or (stage.fold.kind == "still" and found.issuperset(stage.reads)):
            found.update(stage.fold.outputs)
    return found


def _copies(tensors: Tensors) -> Tensors:
    return {on_host(name): tensor.cpu() for name, tensor in tensors.items() if tensor.dtype == torch.int64}
