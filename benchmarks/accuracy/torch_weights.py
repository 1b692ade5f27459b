"""Networks as torch modules with the weights of an ONNX file, for converters that take modules only."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from spikec.errors import CheckFailed, ModelError
from spikec.onnx_session import run_model

TOLERANCE = 1e-4  # largest difference of any logit from those of the ONNX model
_WEIGHTED = ("Conv", "Gemm", "LayerNormalization", "MatMul", "Add", "Expand")


def stored_weights(model: onnx.ModelProto) -> Iterator[np.ndarray]:
    """Weights and biases in the order of the nodes that use them, matrices the way ``nn.Linear`` has them.

    A matrix product and the sum with its bias are a linear layer in two nodes: the first gives the transposed matrix.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _WEIGHTED:
            for array in (numpy_helper.to_array(stored[name]) for name in node.input if name in stored):
                yield array.T if node.op_type == "MatMul" else array


def fill(parameters: Sequence[nn.Parameter], arrays: Sequence[np.ndarray], network: str) -> None:
    """Copy ``arrays`` into ``parameters`` one by one.

    Raises:
        ModelError: they are not as many, or differ in shape.
    """
    if [p.shape for p in parameters] != [a.shape for a in arrays]:
        raise ModelError(f"the ONNX file is not this {network}: its weights are others")
    for parameter, array in zip(parameters, arrays, strict=True):
        parameter.data = torch.from_numpy(np.ascontiguousarray(array).copy())


def verified(network: nn.Module, model: onnx.ModelProto, images: np.ndarray) -> nn.Module:
    """``network``, proven equal to the ``model`` on ``images``.

    Raises:
        CheckFailed: a logit differs by more than ``TOLERANCE``.
    """
    with torch.no_grad():
        given = network.eval()(torch.from_numpy(images)).numpy()
    (expected,) = run_model(model, {model.graph.input[0].name: images}).values()
    difference = float(np.abs(given - expected).max())
    if not difference <= TOLERANCE:
        raise CheckFailed(f"the torch module differs from its ONNX model by {difference:.2g}, allowed {TOLERANCE:.0e}")
    return network
