"""Layers as CUDA graphs: recorded once for each shape of the samples, then launched as a whole.

A deep network has hundreds of stages, and to launch them one by one takes the host longer than the device needs.
"""

import warnings
from dataclasses import dataclass

import torch

from spikec.runtime.layers.kernels import narrowed
from spikec.runtime.layers.stages import Layers
from spikec.runtime.layers.starting import Shapes
from spikec.runtime.stepwise import Tensors

Tensor = torch.Tensor
MOST_RECORDS = 2  # a record holds the memory of all its tensors


@dataclass(frozen=True)
class _Record:
    """A graph, the ``inputs`` that it reads with the memory behind them, and what it writes: results, states, peak.

    It reads what the layers have ``kept`` for its shapes, too, which has to live as long as it does.
    """

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    kept: Tensors
    results: Tensors
    states: Tensors
    peak: int


class Recorder:
    """Calls ``layers``; on CUDA, from the second call with the same shapes on, as a graph.

    What a call gives is overwritten by the next one. ``refused`` says why nothing is recorded, if that is so.
    """

    def __init__(self, layers: Layers) -> None:
        self.layers, self.refused = layers, ""
        self._seen: set[object] = set()
        self._records: dict[object, _Record] = {}

    def __call__(self, held: Tensors, states: Tensors, clock: Tensor, shapes: Shapes) -> tuple[Tensors, int]:
        """See ``Layers``; ``shapes`` are those of the network's inputs."""
        key = (shapes, len(clock))
        if self.refused or not clock.is_cuda or key not in self._seen:  # the first call compiles, and may read back
            self._seen.add(key)
            return self.layers(held, states, clock, shapes)
        if key not in self._records:
            self._record(key, held, states, clock, shapes)
        if self.refused:
            return self.layers(held, states, clock, shapes)
        record = self._records[key]
        for buffer, tensor in zip(record.inputs, [*held.values(), *states.values(), clock], strict=True):
            buffer.copy_(narrowed(tensor))
        record.graph.replay()
        states.update(record.states)
        return record.results, record.peak

    def release(self) -> None:
        """Drop all graphs and their memory."""
        self._records.clear()

    def _record(self, key: object, held: Tensors, states: Tensors, clock: Tensor, shapes: Shapes) -> None:
        if len(self._records) == MOST_RECORDS:
            del self._records[next(iter(self._records))]
        given = [*held.values(), *states.values(), clock]
        buffers = [narrowed(tensor).clone() for tensor in given]
        views = [buffer.expand(tensor.shape) for buffer, tensor in zip(buffers, given, strict=True)]
        still = dict(zip(held, views, strict=False))
        after = dict(zip(states, views[len(held) :], strict=False))
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                results, peak = self.layers(still, after, views[-1], shapes)
        except RuntimeError as error:  # a stage reads something back, which a graph cannot
            torch.cuda.synchronize()
            self.refused = "; ".join([str(error).splitlines()[0], *getattr(error, "__notes__", [])])
            warnings.warn(f"launched stage by stage, because no CUDA graph can hold it: {self.refused}", stacklevel=2)
            return
        self._records[key] = _Record(
            graph, buffers, self.layers.kept_for(still, len(clock), shapes), results, after, peak
        )
