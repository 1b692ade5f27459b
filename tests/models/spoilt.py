"""Artifacts with one neuron made worse on purpose."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper


def with_amplitude(artifact: onnx.ModelProto, neuron: str, factor: float) -> onnx.ModelProto:
    """The artifact with the amplitude of one neuron times ``factor``: it saturates below 1, and is coarse above."""
    return _changed(artifact, f"{neuron}/amplitude", lambda amplitude: amplitude * factor)


def _changed(artifact: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(artifact)
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == name)
    array = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(change(array), array.dtype), name))
    return copy
