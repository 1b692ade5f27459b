"""Open dimensions that are equal get one name, where ONNX's inference made up several."""

from collections import defaultdict

import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise
from spikec.passes.shape_vectors import Dims, known_shape, product, quotient, shape_contents


def name_dimensions(graph: gs.Graph) -> None:
    """Rename dimensions in the shapes of all tensors of ``graph`` (nodes in topological order).

    before: (unk__7, 8) is the shape that (N, 4, 2) has after Reshape(-1, 8)        after: (N, 8)
    """
    users: dict[str, list[gs.Variable]] = defaultdict(list)
    for tensor in graph.tensors().values():
        for size in set(tensor.shape or ()) if isinstance(tensor, gs.Variable) else ():
            if isinstance(size, str):
                users[size].append(tensor)
    given = {size for tensor in graph.inputs for size in tensor.shape or ()}  # the user's own names stay
    for node in graph.nodes:
        told = _told(node) if node.outputs and node.outputs[0].shape else []
        if told and len(told) == len(node.outputs[0].shape):
            for old, new in zip(list(node.outputs[0].shape), told, strict=True):
                if isinstance(old, str) and old not in given and new is not None and old != new:
                    _rename(old, new, users)


def reshaped(node: gs.Node) -> Dims | None:
    """The shape of a Reshape's output, as far as its inputs tell: 0 copies a size, -1 is what the others leave."""
    source, target = known_shape(node.inputs[0]), shape_contents(node.inputs[1])
    if source is None or target is None or (node.attrs.get("allowzero", 0) and 0 in target):
        return None
    if any(size == 0 and i >= len(source) for i, size in enumerate(target)):
        return None
    copied: Dims = [source[i] if size == 0 else size for i, size in enumerate(target)]
    left = quotient(source, [size for size in copied if size != -1]) if -1 in copied else None
    return None if -1 in copied and left is None else [left if left and size == -1 else size for size in copied]


def _told(node: gs.Node) -> list[int | str | None]:
    """What the inputs tell of the output's shape; nothing, or None for a dimension, where they do not."""
    if is_elementwise(node.op, node.domain) or node.op == "Where":
        return _broadcast([known_shape(tensor) for tensor in node.inputs if tensor.name])
    if node.op == "MatMul":
        return _multiplied(*map(known_shape, node.inputs))
    if node.op == "Expand":
        return _broadcast([known_shape(node.inputs[0]), shape_contents(node.inputs[1])])
    if node.op == "Reshape":
        return [*(reshaped(node) or ())]
    if node.op == "Tile":
        source, repeats = known_shape(node.inputs[0]), shape_contents(node.inputs[1])
        return [product(pair) for pair in zip(source, repeats, strict=True)] if source and repeats else []
    return []


def _multiplied(left: Dims | None, right: Dims | None) -> list[int | str | None]:
    if left is None or right is None or min(len(left), len(right)) < 2:
        return []
    return [*_broadcast([left[:-2], right[:-2]]), left[-2], right[-1]]


def _broadcast(shapes: list[Dims | None]) -> list[int | str | None]:
    """Operands meet from the right; where all but those of size 1 agree, so does the result."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return []
    result: list[int | str | None] = []
    for place in range(-max(map(len, known)), 0):
        sizes = {shape[place] for shape in known if len(shape) >= -place} - {1}
        result.append(1 if not sizes else sizes.pop() if len(sizes) == 1 else None)
    return result


def _rename(old: str, new: int | str, users: dict[str, list[gs.Variable]]) -> None:
    tensors = users.pop(old, [])
    for tensor in tensors:
        tensor.shape = [new if size == old else size for size in tensor.shape]
    if isinstance(new, str):
        users[new].extend(tensors)
