"""Layer by layer: each affine segment takes all time steps at once, each neuron scans over them."""

import warnings
from collections import Counter as Count
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from spikec.runtime.counting import Counter
from spikec.runtime.layers.folding import Folded, channels_last
from spikec.runtime.layers.kernels import MOST_UNROLLED
from spikec.runtime.layers.plan import CannotFold, Scan, plan_layers
from spikec.runtime.layers.scan import Scanner
from spikec.runtime.parts import CLOCK, Parts
from spikec.runtime.result import Arrays
from spikec.runtime.stepwise import Stepwise, Tensors
from spikec.runtime.torch_backend import TorchBackend

BUDGET = 2 << 30  # bytes


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
        self.uses = Count(name for stage in self.stages for name in stage.reads)

    def __call__(self, held: Tensors, states: Tensors, clock: torch.Tensor) -> tuple[Tensors, int]:
        """Advance ``states`` by the steps of ``clock``: the wanted tensors (steps, ...), and the peak in bytes."""
        tensors: Tensors = {**self.constants, **held, CLOCK: clock}
        left, peak, live = Count(self.uses), 0, 0
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


class Layerwise(Stepwise):
    """Evaluates an artifact layer by layer, in stretches of time that fit a memory budget.

    Args:
        parts: the artifact.
        engine: the torch backend.
        budget: bytes that the tensors of all steps in a stretch may take up.
        compiled: whether scans are compiled; else they run operator by operator.
        least: neurons times steps of a batch below which it is evaluated step by step, for want of work.

    Raises:
        CannotFold: the step graph has no such form; the message names the node.
    """

    def __init__(
        self, parts: Parts, engine: TorchBackend, budget: int = BUDGET, *, compiled: bool = False, least: int = 0
    ) -> None:
        super().__init__(parts, engine)
        self.torch, self.budget, self.compiled, self.least = engine, budget, compiled, least
        read = {name for node in parts.readout for name in node.input}
        self.finals = [state for state in self.states if state.final in read]
        self.fallen: str = ""  # why batches are evaluated step by step, if they are
        self._layers: dict[bool, Layers] = {}
        self._bytes: dict[tuple[tuple[int, ...], ...], int] = {}  # shapes of the inputs -> bytes a step
        self._made(counting=False)

    @torch.inference_mode()
    def run(
        self, feeds: Mapping[str, np.ndarray], steps: Sequence[int], counter: Counter | None, samples: int
    ) -> dict[int, Arrays]:
        """Outputs after each number of ``steps`` (ascending) for one batch."""
        held, states = self._started(feeds)
        neurons = sum(states[state.name].numel() for state in self.states if state.kind == "value")
        if not self.states or neurons * steps[-1] < self.least or not self._fits(feeds):
            return super().run(feeds, steps, counter, samples)
        layers, found, done = self._made(counting=counter is not None), {}, 0
        while done < steps[-1]:
            count = min(self.stretch(feeds), steps[-1] - done)
            results, _ = layers(held, states, torch.arange(done, done + count, device=self.torch.device))
            for t in (t for t in steps if done < t <= done + count):
                found[t] = self._outputs({**held, **{s.next: results[s.next][t - done - 1] for s in self.finals}})
            if counter is not None:
                self._count_all(counter, results, samples, count, len(next(iter(feeds.values()))))
            done += count
        return found

    def stretch(self, feeds: Mapping[str, np.ndarray]) -> int:
        """How many steps of this batch fit the budget at once: seen by one step, evaluated twice over."""
        shapes = tuple(array.shape for array in feeds.values())
        if shapes not in self._bytes:
            held, states = self._started(feeds)
            clock = torch.zeros(1, dtype=torch.int64, device=self.torch.device)
            self._bytes[shapes] = self._made(counting=False)(held, states, clock)[1]
        # a convolution's or a product's workspace may take as much again
        return max(1, min(MOST_UNROLLED, self.budget // max(1, 2 * self._bytes[shapes])))

    def _fits(self, feeds: Mapping[str, np.ndarray]) -> bool:
        """Whether one step can be evaluated so; where it cannot, the reason is kept and told."""
        if not self.fallen:
            try:
                self.stretch(feeds)
            except (RuntimeError, CannotFold) as error:
                self.fallen = "; ".join([str(error).splitlines()[0], *getattr(error, "__notes__", [])])
                warnings.warn(f"evaluated step by step, because time cannot be folded: {self.fallen}", stacklevel=2)
        return not self.fallen

    def _made(self, *, counting: bool) -> Layers:
        """The stages, with the events of all neurons among what they give if ``counting``."""
        if counting not in self._layers:
            wanted = [state.next for state in self.finals] + (self.events if counting else [])
            self._layers[counting] = Layers(self.parts, self.torch, list(dict.fromkeys(wanted)), self.compiled)
        return self._layers[counting]

    def _started(self, feeds: Mapping[str, np.ndarray]) -> tuple[Tensors, Tensors]:
        tensors = self._begin(feeds)
        held = {name: tensors[name] for name in self.parts.manifest.held}
        order = channels_last if any(node.op_type == "Conv" for node in self.parts.step) else torch.Tensor.contiguous
        return held, {state.name: order(tensors[state.initial]) for state in self.states}

    def _count_all(self, counter: Counter, results: Tensors, samples: int, steps: int, batch: int) -> None:
        for event in self.events:
            counter.add(event, self.engine.to_numpy((results[event] != 0).sum(0)), samples, steps, batch)
