"""Weights for a network that was never trained."""

import numpy as np
import onnx
from onnx import numpy_helper


def draw_zero_weights(model: onnx.ModelProto, seed: int = 0) -> int:
    """Draw the matrices of ``model`` that are all zero and say how many they were.

    timm starts the heads of some families, and the last layer of some blocks, at zero: the output of the untrained
    network would be zero, which every conversion gets right.
    """
    generator = np.random.default_rng(seed)
    drawn = 0
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) != 2:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size and not values.any():
            weights = generator.standard_normal(values.shape) / np.sqrt(max(values.shape))
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float32), tensor.name))
            drawn += 1
    return drawn
