"""The states before the first step: those that no sample changes are computed once for each shape of the samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from onnx import NodeProto

from spikec.runtime.backend import Evaluate
from spikec.runtime.layers.plan import gives_shape, holds_graph
from spikec.runtime.parts import Parts, needed
from spikec.runtime.torch_backend import TorchBackend

Tensor = torch.Tensor
Tensors = dict[str, Tensor]
Shapes = tuple[tuple[int, ...], ...]
_SMALL = 1 << 20  # numbers that are kept as they are
_KEPT = 8  # shapes of the samples whose states are kept: batches, the last batch, a look at one sample and at two


@dataclass(frozen=True)
class _Kept:
    """A tensor that no sample changes: one row of it where all rows are the same; ``shape`` is that of the whole."""

    name: str
    tensor: Tensor
    shape: torch.Size


class Start:
    """Evaluates an artifact's init graph.

    Most initial states say what a layer gives without any event: the samples' values do not reach them, and every
    sample has the same. Of these, and of what they are added to, one row is kept and expanded.

    Args:
        parts: the artifact.
        engine: the torch backend.
        wanted: the tensors to give.
        whole: gives all of them, for any samples.
    """

    def __init__(self, parts: Parts, engine: TorchBackend, wanted: Sequence[str], whole: Evaluate) -> None:
        unreached = unmoved(parts.init, (info.name for info in parts.inputs))
        self.alike = [name for name in wanted if name in unreached]
        moved = [name for name in wanted if name not in unreached]
        nodes = [node for node in needed(parts.init, moved) if not unreached.issuperset(node.output)]
        met = dict.fromkeys(name for node in nodes for name in node.input if name in unreached)
        self._all, self._moved = whole, engine.graph(nodes, moved, parts.types)
        self._names = list(dict.fromkeys([*self.alike, *met]))
        self._still = engine.graph(needed(parts.init, self._names), self._names, parts.types)
        self._kept: dict[Shapes, list[_Kept] | None] = {}

    def __call__(self, fed: Mapping[str, Tensor]) -> Tensors:
        """The wanted tensors for these samples; expanded ones have stride 0 along the samples."""
        shapes = tuple(tuple(tensor.shape) for tensor in fed.values())
        if shapes not in self._kept:
            if len(self._kept) == _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[shapes] = self._rows(fed, shapes[0][0])
        ready = self._kept[shapes]
        if ready is None:
            return dict(self._all(fed))
        still = {one.name: one.tensor.expand(one.shape) for one in ready}
        return dict(self._moved({**fed, **still})) | {name: still[name] for name in self.alike}

    def _rows(self, fed: Mapping[str, Tensor], samples: int) -> list[_Kept] | None:
        """What the samples do not change; None where something of it cannot be kept."""
        found = self._still(fed)
        kept = [one for name in self._names if (one := _keep(name, found[name], samples))]
        return kept if len(kept) == len(self._names) else None


def unmoved(nodes: Iterable[NodeProto], inputs: Iterable[str]) -> set[str]:
    """The outputs of ``nodes`` that the values of ``inputs`` do not reach, though their shapes may."""
    moved: set[str] = set(inputs)
    found: set[str] = set()
    for node in nodes:
        reached = holds_graph(node) or (moved.intersection(node.input) and not gives_shape(node))
        (moved if reached else found).update(node.output)
    return found


def _keep(name: str, tensor: Tensor, samples: int) -> _Kept | None:
    """What is to be kept of the tensor; None where it is large and has no such row (windows in front of samples)."""
    if tensor.ndim and len(tensor) == samples and torch.equal(tensor, tensor[:1].expand_as(tensor)):
        return _Kept(name, tensor[:1].clone(), tensor.shape)
    return _Kept(name, tensor.clone(), tensor.shape) if tensor.numel() <= _SMALL else None
