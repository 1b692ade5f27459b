"""Layer by layer: each affine segment takes all time steps at once, each neuron scans over them."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from spikec.runtime.counting import Counter
from spikec.runtime.inputs import ENGINE_ERRORS
from spikec.runtime.layers.captured import Recorder
from spikec.runtime.layers.folding import channels_last
from spikec.runtime.layers.integer_products import SILENT
from spikec.runtime.layers.integer_spikes import with_integer_spikes
from spikec.runtime.layers.kernels import MOST_UNROLLED
from spikec.runtime.layers.plan import CannotFold
from spikec.runtime.layers.stages import Layers
from spikec.runtime.layers.starting import Shapes, Start
from spikec.runtime.parts import Parts
from spikec.runtime.result import Arrays
from spikec.runtime.stepwise import BATCH, Evaluation, Stepwise, Tensors
from spikec.runtime.torch_backend import TorchBackend

BUDGET = 2 << 30  # bytes
CUDA_SHARE = 4  # on CUDA one such part of the free memory: the fewer stretches, the less of the states is moved
# bytes of all steps of a batch on the CPU: ResNet-18 took 1.4 s for 8 images of 16 steps in batches of 1 to 4, and
# 1.6 s in one batch, whose tensors no longer stay in the caches
WORKING_SET = 128 << 20


def default_budget(device: torch.device) -> int:
    """Bytes that the steps of a stretch may take up on this device where nobody says."""
    if device.type != "cuda":
        return BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return max(BUDGET, free // CUDA_SHARE)


class Layerwise(Stepwise):
    """Evaluates an artifact layer by layer, in stretches of time that fit a memory budget.

    Args:
        parts: the artifact.
        engine: the torch backend.
        budget: bytes that the tensors of all steps in a stretch may take up.
        compiled: whether scans are compiled; else they run operator by operator.
        least: neurons times samples times steps below which all is evaluated step by step, for want of work.

    Raises:
        CannotFold: the step graph has no such form; the message names the node.
    """

    def __init__(
        self, parts: Parts, engine: TorchBackend, budget: int = BUDGET, *, compiled: bool = False, least: int = 0
    ) -> None:
        super().__init__(parts, engine)
        self.torch, self.budget, self.compiled, self.least = engine, budget, compiled, least
        self.most = MOST_UNROLLED[engine.device.type]  # steps at once
        read = {name for node in parts.readout for name in node.input}
        self.finals = [state for state in self.states if state.final in read]
        self.fallen: str = ""  # why batches are evaluated step by step, if they are
        self._layers: dict[bool, Recorder] = {}
        self._bytes: dict[Shapes, int] = {}  # shapes of the inputs -> bytes a step
        self._counts: dict[Shapes, int] = {}  # shapes of the inputs -> numbers in all states
        convolving = any(node.op_type == "Conv" for node in parts.step)
        self._order = channels_last if convolving else torch.Tensor.contiguous
        self.spikes = with_integer_spikes(parts, engine.constants, engine.planes)
        self._init = Start(parts, engine, self.begun, self._init)
        self._made(counting=False)

    def suited(self, feeds: Mapping[str, np.ndarray], steps: int, fixed: int | None) -> tuple[Evaluation, int]:
        """What evaluates these samples best, and how many it should take at once.

        Args:
            feeds: all samples.
            steps: the number of steps.
            fixed: the number of samples that the artifact takes at once, if it takes no other.
        """
        some = {name: array[: fixed or 1] for name, array in feeds.items()}
        try:
            neurons = self._state_count(some) // (fixed or 1)
        except ENGINE_ERRORS:  # one sample alone cannot be evaluated: what a batch takes is not known beforehand
            return (super().run if self.least else self.run), BATCH
        work = neurons * len(next(iter(feeds.values()))) * steps
        if not self.states or work < self.least or not self._fits(some):
            return super().run, BATCH
        if self.torch.device.type != "cpu":
            return self.run, BATCH
        sample = max(1, self._step_bytes(some) // (fixed or 1))
        return self.run, max(1, min(BATCH, WORKING_SET // (sample * min(steps, self.most))))

    @torch.inference_mode()
    def run(
        self, feeds: Mapping[str, np.ndarray], steps: Sequence[int], counter: Counter | None, samples: int
    ) -> dict[int, Arrays]:
        """Outputs after each number of ``steps`` (ascending) for one batch."""
        if steps[-1] == 1 or not self._fits(feeds):  # in a single step there is no time to fold
            return super().run(feeds, steps, counter, samples)
        (held, states), found, done = self._started(feeds), {}, 0
        layers = self._made(counting=counter is not None)
        while done < steps[-1]:
            count = min(self.stretch(feeds), steps[-1] - done)
            clock = torch.arange(done, done + count, device=self.torch.device)
            results, _ = layers(held, states, clock, _shapes(feeds))
            for t in (t for t in steps if done < t <= done + count):
                found[t] = self._outputs({**held, **{s.next: results[s.next][t - done - 1] for s in self.finals}})
            if counter is not None:
                self._count_all(counter, results, samples, count, len(next(iter(feeds.values()))))
            done += count
        return found

    def release(self) -> None:
        """Give back what is kept between runs: recorded graphs."""
        super().release()
        for recorder in self._layers.values():
            recorder.recording.release()

    def stretch(self, feeds: Mapping[str, np.ndarray]) -> int:
        """How many steps of this batch fit the budget at once."""
        # a convolution's or a product's workspace may take as much again
        return max(1, min(self.most, self.budget // max(1, 2 * self._step_bytes(feeds))))

    def _state_count(self, feeds: Mapping[str, np.ndarray]) -> int:
        """How many numbers the states of these samples hold."""
        shapes = _shapes(feeds)
        if shapes not in self._counts:
            self._counts[shapes] = sum(state.numel() for state in self._started(feeds)[1].values())
        return self._counts[shapes]

    def _step_bytes(self, feeds: Mapping[str, np.ndarray]) -> int:
        """What the tensors of one step of this batch take up at most, seen by evaluating one."""
        shapes = _shapes(feeds)
        if shapes not in self._bytes:
            wanted = [state.next for state in self.finals]
            layers = Layers(self.spikes, self.torch, wanted, compiled=False)  # for a single step nothing is compiled
            clock = torch.zeros(1, dtype=torch.int64, device=self.torch.device)
            self._bytes[shapes] = layers(*self._started(feeds), clock)[1]
        return self._bytes[shapes]

    def _fits(self, feeds: Mapping[str, np.ndarray]) -> bool:
        """Whether one step can be evaluated so; where it cannot, the reason is kept and told."""
        if not self.fallen:
            try:
                self._step_bytes(feeds)
            except (RuntimeError, CannotFold) as error:
                self.fallen = "; ".join([str(error).splitlines()[0], *getattr(error, "__notes__", [])])
                warnings.warn(f"evaluated step by step, because time cannot be folded: {self.fallen}", stacklevel=2)
        return not self.fallen

    def _made(self, *, counting: bool) -> Recorder:
        """The stages, with the events of all neurons among what they give if ``counting``."""
        if counting not in self._layers:
            codes = [self.spikes.codes.get(event, event) for event in self.events]
            wanted = [state.next for state in self.finals] + (codes if counting else [])
            layers = Layers(self.spikes, self.torch, list(dict.fromkeys(wanted)), self.compiled)
            self._layers[counting] = Recorder(layers)
        return self._layers[counting]

    @torch.inference_mode()
    def _started(self, feeds: Mapping[str, np.ndarray]) -> tuple[Tensors, Tensors]:
        tensors = self._begin(feeds)
        held = {name: tensors[name] for name in self.parts.manifest.held}
        return held, {state.name: self._ordered(tensors[state.initial]) for state in self.states}

    def _ordered(self, tensor: torch.Tensor) -> torch.Tensor:
        """In the order of what meets it; on CUDA, whose kernels read any strides, a row for all samples stays one."""
        if not tensor.is_cuda:
            return self._order(tensor)
        if tensor.ndim and len(tensor) > 1 and tensor.stride(0) == 0:
            return self._order(tensor[:1]).expand(tensor.shape)
        return in_order(tensor, self._order)

    def _count_all(self, counter: Counter, results: Tensors, samples: int, steps: int, batch: int) -> None:
        codes = self.spikes.codes
        for event in self.events:
            fired = results[codes[event]] != SILENT if event in codes else results[event] != 0
            counter.add(event, self.engine.to_numpy(fired.sum(0)), samples, steps, batch)


def _shapes(feeds: Mapping[str, np.ndarray]) -> Shapes:
    return tuple(array.shape for array in feeds.values())


def in_order(tensor: torch.Tensor, order: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """``order`` done to the axes as they lie in memory: an image that was transposed to channels last is an image."""
    steps = tensor.stride()
    axes = sorted(range(tensor.ndim), key=lambda axis: -steps[axis])
    back = [axes.index(axis) for axis in range(tensor.ndim)]
    return order(tensor.permute(axes)).permute(back)
