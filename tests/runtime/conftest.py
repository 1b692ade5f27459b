"""One operator evaluated by torch and by another implementation of ONNX."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator

from spikec.runtime.torch_graph import TorchGraph

Arrays = list[np.ndarray | None]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def by_torch() -> Callable[..., list[np.ndarray]]:
    """Outputs of one operator applied to arrays (None for an absent input), computed by TorchGraph."""
    return _by_torch


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Asserts that TorchGraph and another evaluator give one operator the same meaning."""
    return _agree


def _node(operator: str, arrays: Arrays, outputs: int, attrs: dict[str, object]) -> NodeProto:
    inputs = ["" if array is None else f"x{position}" for position, array in enumerate(arrays)]
    return helper.make_node(operator, inputs, [f"y{position}" for position in range(outputs)], **attrs)


def _feeds(arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"x{position}": array for position, array in enumerate(arrays) if array is not None}


def _model(node: NodeProto, arrays: Arrays, opset: int) -> ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in _feeds(arrays).items()
    ]
    graph: GraphProto = helper.make_graph([node], "one", inputs, [ValueInfoProto(name=name) for name in node.output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def _by_torch(
    operator: str,
    arrays: Arrays,
    outputs: int = 1,
    precision: torch.dtype = torch.float32,
    device: str = "cpu",
    **attrs: object,
) -> list[np.ndarray]:
    node = _node(operator, arrays, outputs, attrs)
    graph = TorchGraph([node], node.output, {}, {}, dtype=precision, device=device)
    values = graph({name: torch.from_numpy(array.copy()) for name, array in _feeds(arrays).items()})
    return [values[name].cpu().numpy() for name in node.output]


def _agree(
    operator: str,
    arrays: Arrays,
    outputs: int = 1,
    opset: int = 20,
    reference: bool = False,
    precision: torch.dtype = torch.float32,
    tolerance: float = 1e-5,
    **attrs: object,
) -> None:
    node = _node(operator, arrays, outputs, attrs)
    model = _model(node, arrays, opset)
    if reference:
        expected = ReferenceEvaluator(model).run(None, _feeds(arrays))
    else:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        expected = session.run(None, _feeds(arrays))
    for wanted, given in zip(expected, _by_torch(operator, arrays, outputs, precision, "cpu", **attrs), strict=True):
        assert given.dtype == wanted.dtype
        assert given.shape == wanted.shape
        np.testing.assert_allclose(given, wanted, rtol=tolerance, atol=tolerance)
