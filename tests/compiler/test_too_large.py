"""Models that outgrow one ONNX file, from the start or on the way; none of them is really held in memory here."""

import numpy as np
import onnx
import pytest
import torch
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto, helper, numpy_helper

import spikec
from spikec.artifact.write import write_model
from spikec.errors import ModelError
from spikec.frontends import load_model
from spikec.passes import Record, fold_constants
from spikec.runtime import Session
from spikec.shape_inference import infer_shapes
from spikec.sizes import refuse_too_large, tensor_bytes
from tests.models.tiny import between, mlp

THREE_GIB = 3 << 30


def _bytes(model):
    return sum(tensor_bytes(tensor) for tensor in model.graph.initializer)


def test_constants_beyond_the_limit_are_named(monkeypatch):
    monkeypatch.setattr("spikec.sizes.LIMIT", 100)
    with pytest.raises(ModelError, match=r"at most 2 GiB; the largest are 'w1' .*smaller variant"):
        spikec.plan(mlp())


def test_constants_within_the_limit_pass(monkeypatch):
    model = mlp()
    monkeypatch.setattr("spikec.sizes.LIMIT", _bytes(model))
    assert infer_shapes(model).graph.value_info
    monkeypatch.setattr("spikec.sizes.LIMIT", _bytes(model) - 1)
    with pytest.raises(ModelError, match=r"holds 0\.0 GiB"):
        refuse_too_large(model, "the model")


def test_constants_that_a_pass_makes_are_refused_too(monkeypatch):
    kept = between("t = Relu(a) h = Mul(t, table)", extra={"table": np.ones((1, 6), np.float32)})
    monkeypatch.setattr("spikec.sizes.LIMIT", 4 * _bytes(kept))

    def fold(self, graph):
        for node in graph.nodes:
            for tensor in node.inputs:
                if tensor.name == "table":
                    tensor.values = np.ones((4000, 6), np.float32)
        return graph, Record()

    monkeypatch.setattr("spikec.pipeline.FoldConstants.__call__", fold)
    with pytest.raises(ModelError, match=r"the largest are 'table' "):
        spikec.plan(kept)


def test_an_exported_module_is_refused_before_it_is_serialised(monkeypatch):
    monkeypatch.setattr("spikec.sizes.LIMIT", 100)
    with pytest.raises(ModelError, match=r"Linear holds .*'weight'"):
        load_model(torch.nn.Linear(8, 8), torch.zeros(2, 8))


def test_a_file_beyond_protobuf_is_not_read(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(THREE_GIB)  # takes no room on the disk
    with pytest.raises(ModelError, match=r"large.onnx holds 3.0 GiB, and an ONNX file at most 2 GiB"):
        load_model(path)


def test_external_data_beyond_protobuf_are_not_read(tmp_path):
    model = mlp()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "data", "offset": "0", "length": str(THREE_GIB)}.items():
        tensor.external_data.add(key=key, value=value)
    onnx.save(model, tmp_path / "m.onnx")
    with (tmp_path / "data").open("wb") as file:
        file.truncate(THREE_GIB)
    with pytest.raises(ModelError, match=rf"m.onnx holds 3.0 GiB .*'{tensor.name}' \(3,072 MiB\)"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("length", ["much", ""])
def test_external_data_of_no_length_are_refused_or_read(tmp_path, length):
    model = mlp()
    tensor = model.graph.initializer[0]
    (tmp_path / "data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="data")
    if length:
        tensor.external_data.add(key="length", value=length)
    onnx.save(model, tmp_path / "m.onnx")
    if not length:
        assert _bytes(load_model(tmp_path / "m.onnx").model) == _bytes(mlp())
        return
    with pytest.raises(ModelError, match="external data cannot be read"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("error", [EncodeError, DecodeError])
@pytest.mark.parametrize("call", [spikec.plan, spikec.prepare, spikec.compile])
def test_what_protobuf_says_on_the_way_is_an_error_of_the_model(monkeypatch, call, error):
    def fail(*_, **__):
        raise error("Failed to serialize proto")

    monkeypatch.setattr("onnx.shape_inference.infer_shapes", fail)
    with pytest.raises(ModelError, match=r"outgrown the 2 GiB .*Failed to serialize proto"):
        call(mlp())


def test_what_protobuf_says_behind_the_preparation_is_one_too(monkeypatch):
    def fail(*_, **__):
        raise EncodeError("Failed to serialize proto")

    prepared = spikec.prepare(mlp(), steps=4)
    monkeypatch.setattr("spikec.prepared.assemble", fail)
    with pytest.raises(ModelError, match="outgrown the 2 GiB"):
        prepared.compile()


class _Unserialisable:
    def SerializeToString(self):
        raise EncodeError("Failed to serialize proto")


def test_an_artifact_that_cannot_be_written_leaves_the_file_alone(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"older")
    with pytest.raises(ModelError, match="larger than 2 GiB, which one ONNX file cannot hold"):
        write_model(_Unserialisable(), path)
    assert path.read_bytes() == b"older"


def test_bytes_of_tensors():
    values = np.arange(300, dtype=np.float32)
    assert tensor_bytes(numpy_helper.from_array(values)) == 1200
    typed = helper.make_tensor("t", TensorProto.FLOAT, [300], values)
    assert 1200 < tensor_bytes(typed) < 1230


def test_constants_in_attributes_count(monkeypatch):
    model = between("b = Constant<value = float[6] {1, 2, 3, 4, 5, 6}>() c = Add(a, b) h = Relu(c)")
    monkeypatch.setattr("spikec.sizes.LIMIT", _bytes(model))
    with pytest.raises(ModelError, match="at most 2 GiB"):
        refuse_too_large(model, "the model")


def test_a_table_that_is_computed_converts_like_one_that_is_stored(monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {"table": rng.standard_normal((3, 6)).astype(np.float32), "row": np.array(1)}
    model = between("[read] b = Gather(table, row) [shift] c = Add(a, b) h = Relu(c)", extra=arrays)
    x = rng.standard_normal((8, 6)).astype(np.float32)
    monkeypatch.setattr("spikec.canonical.onnxscript.optimizer.optimize", lambda model: model)  # it folds small ones
    stored = spikec.compile(model, calibration=x, steps=8)
    monkeypatch.setattr(fold_constants, "_no_room", lambda node, *_: "no room" if node.op == "Gather" else None)
    computed = spikec.compile(model, calibration=x, steps=8)
    assert "Gather" not in {node.op_type for node in stored.levels.neurons.graph.node}
    assert "Gather" in {node.op_type for node in computed.levels.neurons.graph.node}
    (expected,), (found,) = (Session(made.model).run(x).final.values() for made in (stored, computed))
    np.testing.assert_allclose(found, expected, atol=1e-6)
