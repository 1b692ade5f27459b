"""What is known of a shape: of a tensor's own, and of a vector that is computed to be one."""

import onnx_graphsurgeon as gs

from spikec.passes.surgery import values_of

Dims = list[int | str]  # sizes, and names of open dimensions


def known_shape(tensor: gs.Tensor) -> Dims | None:
    """The shape of ``tensor``, or None where its rank or one of its dimensions is unknown."""
    shape = tensor.shape
    return None if shape is None or any(size is None for size in shape) else list(shape)


def shape_contents(tensor: gs.Tensor) -> Dims | None:
    """The elements of a vector that describes a shape, as far as shapes of other tensors tell them."""
    values = values_of(tensor)
    if values is not None:
        return [int(value) for value in values.ravel()]
    node = tensor.inputs[0] if tensor.inputs else None
    if node is None:
        return None
    if node.op == "Shape":
        shape = known_shape(node.inputs[0])
        return None if shape is None else shape[node.attrs.get("start", 0) : node.attrs.get("end", len(shape))]
    if node.op == "Concat":
        parts = [shape_contents(part) for part in node.inputs]
        return None if any(part is None for part in parts) else [size for part in parts for size in part or ()]
    if node.op == "Gather":
        source, index = shape_contents(node.inputs[0]), values_of(node.inputs[1])
        return None if source is None or index is None else [source[i] for i in index.ravel()]
    wire = node.op in ("Reshape", "Squeeze", "Unsqueeze", "Identity")
    return shape_contents(node.inputs[0]) if wire else None
