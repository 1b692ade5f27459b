"""Work of many small kernels as CUDA graphs: recorded once for each form of its inputs, then launched as a whole.

A deep network has hundreds of operators, and to launch them one by one takes the host longer than the device needs.
"""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from spikec.runtime.backend import Evaluate
from spikec.runtime.torch_ops.by_shape import keeping
from spikec.runtime.torch_values import narrowed

Tensor = torch.Tensor
Found = TypeVar("Found")
Body = Callable[[Sequence[Tensor]], Found]
MOST_RECORDS = 2  # a record holds the memory of all its tensors


@dataclass(frozen=True)
class _Record(Generic[Found]):
    """What launches a graph, the ``inputs`` that it reads, what it gives, and what else has to live as long as it."""

    launch: Callable[[], None]
    inputs: list[Tensor]
    found: Found
    kept: list[object]

    def takes(self, parts: Sequence[Tensor]) -> bool:
        """Whether the inputs have room: they were recorded without the repetitions that expanding gave them."""
        pairs = [(part.shape, buffer.shape) for part, buffer in zip(parts, self.inputs, strict=True)]
        return all(size <= room for pair in pairs for size, room in zip(*pair, strict=True))

    def __call__(self, parts: Sequence[Tensor]) -> Found:
        """What the graph gives for these inputs."""
        for buffer, part in zip(self.inputs, parts, strict=True):
            buffer.copy_(part)
        self.launch()
        return self.found


class Recording(Generic[Found]):
    """Calls work; on CUDA, from the second call of the same form on, as a graph.

    What a call gives is overwritten by the next one of the same form. ``refused`` says why nothing is recorded, if
    that is so.

    Args:
        apart: how the work is launched without a graph, for the warning.
    """

    def __init__(self, apart: str) -> None:
        self.apart, self.refused = apart, ""
        self.records: dict[object, _Record[Found]] = {}
        self._seen: set[object] = set()

    @torch.inference_mode()
    def __call__(self, key: Hashable, given: Sequence[Tensor], body: Body[Found]) -> Found:
        """``body`` of the tensors ``given``, which it ``serves``.

        Two calls with the same ``key`` do the same to tensors of one shape.
        """
        parts = [narrowed(tensor) for tensor in given]
        key = key, tuple((tensor.shape, tensor.dtype) for tensor in given)
        record = self.records.get(key)
        if record is None or not record.takes(parts):
            form = key, tuple(part.shape for part in parts)
            if form not in self._seen:  # the first call compiles, and may read back
                self._seen.add(form)
                return body(given)
            record = self._record(key, given, body)
        return body(given) if record is None else record(parts)

    def serves(self, given: Sequence[Tensor]) -> bool:
        """Whether calls with such tensors are recorded."""
        return not self.refused and recordable(given)

    def release(self) -> None:
        """Drop all graphs and their memory."""
        self.records.clear()

    def _record(self, key: object, given: Sequence[Tensor], body: Body[Found]) -> _Record[Found] | None:
        self.records.pop(key, None)
        if len(self.records) == MOST_RECORDS:
            del self.records[next(iter(self.records))]
        buffers = [narrowed(tensor).clone() for tensor in given]
        views = [buffer.expand(tensor.shape) for buffer, tensor in zip(buffers, given, strict=True)]
        try:
            with keeping() as kept:
                found, launch = capture(lambda: body(views))
        except RuntimeError as error:  # something is read back, which a graph cannot
            torch.cuda.synchronize()
            self.refused = "; ".join([str(error).splitlines()[0], *getattr(error, "__notes__", [])])
            warnings.warn(f"launched {self.apart}, because no CUDA graph can hold it: {self.refused}", stacklevel=3)
            return None
        self.records[key] = _Record(launch, buffers, found, kept)
        return self.records[key]


class RecordedGraph:
    """A graph's evaluation, recorded: what it gives is overwritten by the next call with inputs of the same shapes."""

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        self.recording: Recording[dict[str, Tensor]] = Recording("operator by operator")

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """See ``Backend.graph``."""
        names, inputs = tuple(tensors), list(tensors.values())
        if not self.recording.serves(inputs):
            return self.evaluate(tensors)

        def body(given: Sequence[Tensor]) -> dict[str, Tensor]:
            places = {tensor.untyped_storage().data_ptr() for tensor in given}
            found = self.evaluate(dict(zip(names, given, strict=True)))
            # a result that is an input as it is would change when the next call's inputs are written
            return {name: _own(tensor, places) for name, tensor in found.items()}

        return self.recording(names, inputs, body)


def recordable(given: Sequence[Tensor]) -> bool:
    """Whether these tensors are all on a CUDA device."""
    return all(tensor.is_cuda for tensor in given)


def capture(body: Callable[[], Found]) -> tuple[Found, Callable[[], None]]:
    """What ``body`` gives, and what computes it anew, in the same memory, from what its inputs then hold."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = body()
    return found, graph.replay


def _own(tensor: Tensor, places: set[int]) -> Tensor:
    """``tensor``, or a copy of it where its memory is one of ``places``."""
    return tensor.clone() if tensor.untyped_storage().data_ptr() in places else tensor
