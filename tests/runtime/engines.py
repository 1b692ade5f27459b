"""Parts of the small networks' artifacts, and a backend that keeps a record of its work."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from onnx import NodeProto

from spikec.runtime.backend import Evaluate
from spikec.runtime.parts import Parts, take_apart
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import compiled


@functools.cache
def parts_of(name: str, form: str = "loop", **options: Any) -> Parts:
    """The artifact of the network of that name, taken apart."""
    return take_apart(compiled(name, form, **options).model)


class Recording(TorchBackend):
    """The torch backend in float64; ``made`` and ``evaluated`` hold the outputs of each graph, in order of time."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "cpu", "float64")
        self.made: list[tuple[str, ...]] = []
        self.evaluated: list[tuple[str, ...]] = []

    def graph(self, nodes: Sequence[NodeProto], outputs: Sequence[str], types: Mapping[str, int]) -> Evaluate:
        evaluate = super().graph(nodes, outputs, types)
        self.made.append(tuple(outputs))

        def recorded(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            self.evaluated.append(tuple(outputs))
            return evaluate(tensors)

        return recorded
