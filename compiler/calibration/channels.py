"""Which axis of a neuron's output counts its channels."""

from onnx import FunctionProto, NodeProto, helper, numpy_helper

from spikec.lowering.network import Network, Neuron
from spikec.passes.operators import FUNCTION_DOMAIN, is_reduction, is_row_function

_CHANNELS_FIRST = frozenset(["Conv", "ConvTranspose", "BatchNormalization", "MaxPool", "AveragePool"])
_CHANNELS_LAST = frozenset(["MatMul", "Gemm", "LayerNormalization"])


def channel_axis(network: Network, neuron: Neuron) -> int | None:
    """The channel axis of ``neuron``'s output, or None where its rank or channel count is unknown.

    Told by the weights before it: Conv puts channels on axis 1, MatMul on the last; so does a norm along the last axis.
    """
    shape = network.shapes.get(neuron.output)
    if shape is None or len(shape) < 2:
        return None
    axis = _axis_by_producer(network, neuron, len(shape))
    return axis if isinstance(shape[axis], int) else None


def amplitude_shape(axis: int, rank: int, channels: int) -> tuple[int, ...]:
    """The shape that spreads one value a channel over a tensor of that rank: (C, 1, 1) for axis 1 of rank 4."""
    return (channels, *([1] * (rank - 1 - axis)))


def _axis_by_producer(network: Network, neuron: Neuron, rank: int) -> int:
    if neuron.function.startswith(tuple(_CHANNELS_LAST)) or _reduces_last_axis(network, neuron, rank):
        return rank - 1
    name = neuron.values[0]
    while name in network.producer:
        node = network.producer[name]
        if node.op_type in _CHANNELS_FIRST:
            return 1
        if node.op_type in _CHANNELS_LAST:
            return rank - 1
        if node.op_type not in ("Add", "Sub", "Mul", "Div", "Concat", "Pad", "Slice") or not node.input:
            break
        name = next((item for item in node.input if item in network.path.tensors), "")
    return 1 if rank == 4 else rank - 1


def _reduces_last_axis(network: Network, neuron: Neuron, rank: int) -> bool:
    """Whether the rows of a row function (FuseRows) run along the last axis and no other, as in a layer norm."""
    if not is_row_function(neuron.function, FUNCTION_DOMAIN):
        return False
    key = (FUNCTION_DOMAIN, neuron.function)
    body = next(function for function in network.model.functions if (function.domain, function.name) == key)
    rows = [_axes(node, body) for node in body.node if is_reduction(node.op_type, node.domain)]
    return all([axis % rank for axis in axes] == [rank - 1] for axes in rows)


def _axes(node: NodeProto, body: FunctionProto) -> list[int]:
    """The axes of a reduction: an attribute, or a constant of the body; none where it does not say."""
    for attr in node.attribute:
        if attr.name == "axes":
            return list(attr.ints)
    maker = next((n for n in body.node if len(node.input) > 1 and n.output[0] == node.input[1]), None)
    return (
        []
        if maker is None
        else [int(v) for v in numpy_helper.to_array(helper.get_node_attr_value(maker, "value")).ravel()]
    )
