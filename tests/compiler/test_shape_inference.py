"""Shapes are inferred as ONNX infers them, and the weights stay where they are."""

import onnx
import pytest
from onnx import TensorProto

from spikec.shape_inference import infer_shapes
from tests.models.networks import TEXTS, network


def _shapes(model: onnx.ModelProto) -> dict[str, str]:
    return {info.name: str(info.type) for info in [*model.graph.value_info, *model.graph.output]}


@pytest.mark.parametrize("most", [-1, 2**16])
@pytest.mark.parametrize("name", TEXTS)
def test_shapes_are_those_of_onnx(name, most, monkeypatch):
    model = network(name).model
    weights = [tensor.SerializeToString() for tensor in model.graph.initializer]
    expected = _shapes(onnx.shape_inference.infer_shapes(model, data_prop=True))
    monkeypatch.setattr("spikec.shape_inference.WEIGHTS", max(most, _largest_shape(model)))
    found = infer_shapes(model)
    assert _shapes(found) == expected
    assert [tensor.SerializeToString() for tensor in found.graph.initializer] == weights


def _largest_shape(model: onnx.ModelProto) -> int:
    """Bytes of the largest constant of integers: those may be shapes."""
    integers = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64]
    return max([len(t.raw_data) or t.ByteSize() for t in integers], default=-1)
