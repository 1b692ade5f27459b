"""The shapes of all tensors of an artifact, and the values of those that are asked for, seen by running one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from onnx import NodeProto, TensorProto, helper

from spikec.runtime.inputs import Feeds, fixed_batch
from spikec.runtime.layers.flatten import flatten
from spikec.runtime.parts import CLOCK, Parts, needed
from spikec.runtime.torch_backend import TorchBackend

_SHAPE = "//shape"


@dataclass(frozen=True)
class Probe:
    """One step of the artifact on as few samples as it takes.

    Attributes:
        samples: how many that is: 1, or what the artifact is fixed to.
        shapes: of every tensor of init, step and readout, functions opened, for these samples.
    """

    parts: Parts
    feeds: Feeds
    samples: int
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, parts: Parts, feeds: Feeds) -> "Probe":
        """Run the first samples of ``feeds``."""
        samples = fixed_batch(parts.inputs) or 1
        few = {name: np.resize(array, (samples, *array.shape[1:])) for name, array in feeds.items()}
        nodes = _nodes(parts)
        made = [name for node in nodes for name in node.output if name]
        measuring = [helper.make_node("Shape", [name], [f"{name}{_SHAPE}"]) for name in made]
        found = _run(parts, [*nodes, *measuring], [f"{name}{_SHAPE}" for name in made], few)
        shapes = {name.removesuffix(_SHAPE): tuple(map(int, value)) for name, value in found.items()}
        shapes |= {name: array.shape for name, array in few.items()} | {CLOCK: ()}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in parts.constants}
        return cls(parts, few, samples, shapes)

    def values(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The values of these tensors for the probe's samples."""
        return _run(self.parts, _nodes(self.parts), list(names), self.feeds) if names else {}

    def size(self, name: str) -> float:
        """Elements of a tensor for one sample."""
        return prod(self.shapes[name]) / self.samples


def opened(nodes: Sequence[NodeProto], parts: Parts, keep: str | None = None) -> list[NodeProto]:
    """The nodes with calls of the artifact's functions replaced by what they call, but for the domain ``keep``."""
    return flatten(nodes, {(function.domain, function.name): function for function in parts.functions}, keep)


def _nodes(parts: Parts) -> list[NodeProto]:
    """Init, the first step and the readout behind it, in one list."""
    states = parts.manifest.states
    before = [helper.make_node("Identity", [state.initial], [state.name]) for state in states]
    after = [helper.make_node("Identity", [state.next], [state.final]) for state in states]
    step = opened(needed(parts.step, [state.next for state in states]), parts)
    return [*opened(parts.init, parts), *before, *step, *after, *opened(parts.readout, parts)]


def _run(parts: Parts, nodes: list[NodeProto], outputs: list[str], feeds: Feeds) -> dict[str, np.ndarray]:
    engine = TorchBackend(parts, "cpu", "float32")
    evaluate = engine.graph(nodes, outputs, {**parts.types, CLOCK: TensorProto.INT64})
    fed = {name: engine.to_device(array) for name, array in {**feeds, CLOCK: np.array(0, np.int64)}.items()}
    return {name: engine.to_numpy(value) for name, value in evaluate(fed).items()}
