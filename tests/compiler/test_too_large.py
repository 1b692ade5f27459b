"""Models that outgrow one ONNX file on the way."""

import pytest

import spikec
from spikec.canonical import infer_shapes
from spikec.errors import ModelError
from tests.models.tiny import mlp


def test_constants_beyond_the_limit_are_named(monkeypatch):
    monkeypatch.setattr("spikec.canonical.LIMIT", 100)
    with pytest.raises(ModelError, match=r"at most 2 GiB; the largest are 'w1' .*smaller variant"):
        spikec.plan(mlp())


def test_constants_within_the_limit_pass(monkeypatch):
    model = mlp()
    monkeypatch.setattr("spikec.canonical.LIMIT", sum(tensor.ByteSize() for tensor in model.graph.initializer))
    assert infer_shapes(model).graph.value_info
