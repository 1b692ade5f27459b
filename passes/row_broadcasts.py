"""Broadcasts that exporters spell out, made plain: what they do follows from the shapes of the operands."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise
from spikec.passes.shape_names import name_dimensions, reshaped
from spikec.passes.shape_vectors import Dims, known_shape, shape_contents
from spikec.passes.surgery import bypass, constant, is_output
from spikec.passes.value_path import ValuePath


def plain_broadcasts(graph: gs.Graph) -> list[str]:
    """Simplify what only brings a reduced tensor back to size; shapes of tensors have to be noted (those known).

    before: x -> ReduceL2 -> n -> Expand(shape of x) -> m;  x / m       after: x -> ReduceL2 -> n;  x / n
    before: x -> ReduceMean(keepdims=0) -> n -> Reshape(N, L, 1)        after: n -> Unsqueeze(-1)
    before: x -> ReduceMean -> n -> Reshape(N, L, 1) -> r;  x - r        after: x - n

    Returns the names of the nodes that are gone or have become others.
    """
    name_dimensions(graph)
    path = ValuePath(graph)
    names = []
    for node in list(graph.nodes):
        if path.positions(node) != (0,) or node.domain not in (None, "", "ai.onnx"):
            continue
        if (node.op == "Reshape" and _plain_reshape(graph, node)) or (
            node.op == "Expand" and _drop_expand(graph, node)
        ):
            names.append(node.name)
    graph.cleanup()
    return names


def _plain_reshape(graph: gs.Graph, node: gs.Node) -> bool:
    """Make an Unsqueeze of a Reshape that does no more, and nothing of one that changes nothing."""
    source, target = known_shape(node.inputs[0]), reshaped(node)
    axes = None if source is None or target is None else _inserted(source, target)
    if axes is None or (not axes and is_output(graph, node.outputs[0])):
        return False
    if not axes:
        bypass(node)
        return True
    node.op, node.attrs = "Unsqueeze", {}
    node.inputs[1] = constant(f"{node.name}/axes", np.array(axes, np.int64))
    node.outputs[0].shape = target
    return True


def _inserted(source: Dims, target: Dims) -> list[int] | None:
    """Where ``target`` has ones that ``source`` has not; None where that is not all the difference."""
    rest, axes = list(source), []
    for i, size in enumerate(target):
        if rest and size == rest[0]:
            rest.pop(0)
        elif size == 1:
            axes.append(i)
        else:
            return None
    return None if rest else axes


def _drop_expand(graph: gs.Graph, node: gs.Node) -> bool:
    """Drop an Expand whose every consumer would widen its source all the same."""
    source, target, output = known_shape(node.inputs[0]), shape_contents(node.inputs[1]), node.outputs[0]
    if source is None or target is None or len(target) != len(source) or is_output(graph, output):
        return False
    widened = {}
    for place, (size, wanted) in enumerate(zip(source, target, strict=True), -len(source)):
        if wanted in (size, 1):
            continue
        if size != 1:
            return False
        widened[place] = wanted
    shrunk = _Shrunk(graph, output)
    if not shrunk.reach(output, widened):
        return False
    shrunk.note()
    bypass(node)
    return True


class _Shrunk:
    """Tensors behind ``origin`` that have one element in some dimensions once the Expand before it is gone."""

    def __init__(self, graph: gs.Graph, origin: gs.Tensor) -> None:
        self.graph = graph
        self.behind = _behind(origin)
        self.dims: dict[str, tuple[gs.Tensor, set[int]]] = {}

    def reach(self, tensor: gs.Tensor, lost: dict[int, int | str]) -> bool:
        """Whether what ``tensor`` has lost (dimension from the right -> size) comes back in every consumer."""
        if not lost:
            return True
        if is_output(self.graph, tensor):
            return False
        self.dims.setdefault(tensor.name, (tensor, set()))[1].update(lost)
        return all(self._passes(node, tensor, lost) for node in tensor.outputs)

    def note(self) -> None:
        """Write down the new shapes."""
        for tensor, places in self.dims.values():
            if tensor.shape is not None:
                sizes = list(enumerate(tensor.shape, -len(tensor.shape)))
                tensor.shape = [1 if place in places else size for place, size in sizes]

    def _passes(self, node: gs.Node, tensor: gs.Tensor, lost: dict[int, int | str]) -> bool:
        if node.op == "PRelu" or len(node.outputs) != 1 or not is_elementwise(node.op, node.domain):
            return False  # PRelu does not widen its first operand
        # an operand that comes from the same Expand shrinks too
        others = [known_shape(t) for t in node.inputs if t.name and t.name not in self.behind]
        rest = {
            place: size
            for place, size in lost.items()
            if not any(shape and len(shape) >= -place and shape[place] == size for shape in others)
        }
        return self.reach(node.outputs[0], rest)


def _behind(origin: gs.Tensor) -> set[str]:
    """Names of ``origin`` and of all tensors that depend on it."""
    names, pending = {origin.name}, [origin]
    while pending:
        for node in pending.pop().outputs:
            fresh = [tensor for tensor in node.outputs if tensor.name not in names]
            names.update(tensor.name for tensor in fresh)
            pending.extend(fresh)
    return names
