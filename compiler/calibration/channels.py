"""Which axis of a neuron's output counts its channels."""

from spikec.lowering.network import Network, Neuron

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
    if neuron.function.startswith(tuple(_CHANNELS_LAST)):
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
