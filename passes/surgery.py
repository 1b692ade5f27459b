"""Small steps of graph surgery that several passes share."""

import hashlib
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs


def bypass(node: gs.Node) -> None:
    """Connect every consumer of the first output of ``node`` to its first input, and unhook the node."""
    source, target = node.inputs[0], node.outputs[0]
    for consumer in list(target.outputs):
        consumer.inputs = [source if tensor is target else tensor for tensor in consumer.inputs]
    node.outputs.clear()
    node.inputs.clear()  # else it would still count as a consumer of its input


def is_output(graph: gs.Graph, tensor: gs.Tensor) -> bool:
    """Whether ``tensor`` is an output of ``graph``."""
    return any(tensor is output for output in graph.outputs)


def append(
    graph: gs.Graph, op: str, inputs: Sequence[gs.Tensor], name: str, *, like: gs.Tensor | None = None, **attrs: object
) -> gs.Variable:
    """Add a node with one output, called ``name`` as its node is, and return that output (type taken from ``like``)."""
    output = gs.Variable(name, dtype=None if like is None else like.dtype)
    graph.nodes.append(gs.Node(op, name=name, inputs=list(inputs), outputs=[output], attrs=dict(attrs)))
    return output


def constant(name: str, values: np.ndarray) -> gs.Constant:
    """A constant tensor with a name of its own (graphsurgeon tells tensors apart by name)."""
    return gs.Constant(name, np.asarray(values, order="C"))  # ascontiguousarray would make a vector of a scalar


def element_type(tensor: gs.Tensor) -> int:
    """ONNX's number of the element type, 0 where it is unknown (graphsurgeon has numbers for what numpy lacks)."""
    if tensor.dtype is None or isinstance(tensor.dtype, int):
        return tensor.dtype or 0
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)))


def values_of(tensor: gs.Tensor) -> np.ndarray | None:
    """The array behind a constant tensor, or None where the tensor is computed."""
    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    return None


def int_vector(node: gs.Node, attr: str, position: int) -> list[int] | None:
    """Integers that an operator takes as an attribute in old opsets and as a constant input in new ones.

    None where neither is given, or where the input is computed.
    """
    if attr in node.attrs:
        return [int(v) for v in node.attrs[attr]]
    if len(node.inputs) <= position or not node.inputs[position].name:
        return None
    values = values_of(node.inputs[position])
    return None if values is None else [int(v) for v in np.atleast_1d(values)]


def function_of(graph: gs.Graph, domain: str, name: str) -> gs.Function | None:
    """The model-local function ``domain::name`` of ``graph``."""
    return next((f for f in graph.functions if f.name == name and f.domain == domain), None)


def fingerprint(nodes: Sequence[gs.Node], inputs: Sequence[gs.Tensor] = ()) -> str:
    """Eight hex digits that stand for the operators, attributes and constants of ``nodes``, whatever their names.

    The order of ``inputs`` counts: a - b as a function of (a, b) is not a - b as a function of (b, a).
    """
    numbers = {tensor.name: i for i, tensor in enumerate(inputs)}
    digest = hashlib.sha256()
    for node in nodes:
        for tensor in [*node.inputs, *node.outputs]:
            numbers.setdefault(tensor.name, len(numbers))
            values = values_of(tensor)
            digest.update(f"{numbers[tensor.name]};".encode() if values is None else values.tobytes())
        digest.update(f"{node.domain}::{node.op}".encode())
        for key, value in sorted(node.attrs.items()):
            shown = value.values.tobytes() if isinstance(value, gs.Constant) else repr(value).encode()
            digest.update(key.encode() + shown)
    return digest.hexdigest()[:8]
