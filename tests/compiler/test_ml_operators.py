"""A network as scikit-learn's exporter writes it, in its own domain: through the whole compiler."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

import spikec
from spikec.runtime import Session
from tests.models.graphs import normal

PIPELINE = """
g (float[N,6] x) => (int64[N] label, float[N,4] probabilities) {
   [scaler] scaled = ai.onnx.ml.Scaler<offset = [0.5, -1.0, 0.0, 2.0, 1.0, 0.0],
                                       scale = [2.0, 0.5, 1.0, 1.0, 0.25, 1.0]>(x)
   cast = Cast<to = 1>(scaled)
   product = MatMul(cast, w)
   shifted = Add(product, b)
   [hidden] hidden = Relu(shifted)
   scores = MatMul(hidden, v)
   [softmax] probabilities = Softmax(scores)
   [argmax] best = ArgMax<axis = 1>(probabilities)
   [picked] picked = ai.onnx.ml.ArrayFeatureExtractor(classes, best)
   flat = Reshape(picked, shape)
   label = Cast<to = 7>(flat)
}
"""
X = normal(200, 6, seed=1)


def pipeline(opset):
    """The pipeline in ``opset``."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}, "ai.onnx.ml": 1]> {PIPELINE}')
    arrays = {"w": normal(6, 16), "b": normal(16, seed=2), "v": normal(16, 4, seed=3)}
    arrays |= {"classes": np.array([3, -1, 12, 7], np.int64), "shape": np.array([-1], np.int64)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return model


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("form", ["loop", "unrolled"])
def test_labels_and_probabilities_come_out_as_they_went_in(opset, form):
    source = pipeline(opset)
    label, probabilities = ort.InferenceSession(source.SerializeToString()).run(None, {"x": X})
    artifact = spikec.compile(source, calibration=X, steps=32, form=form)
    assert {entry.domain for entry in artifact.model.opset_import} & {"ai.onnx.ml"} == set()
    stock = ort.InferenceSession(artifact.model.SerializeToString()).run(None, {"x": X})
    found = [dict(zip(("label", "probabilities"), stock, strict=True))]
    found += [Session(artifact.model, backend).run(X).final for backend in ("torch", "onnxruntime")]
    for outputs in found:
        assert outputs["label"].dtype == np.int64
        assert set(outputs["label"]) <= {3, -1, 12, 7}
        assert np.mean(outputs["label"] == label) > 0.95
        assert np.abs(outputs["probabilities"] - probabilities).mean() < 0.02


def test_the_plan_knows_the_nodes_of_the_source():
    fates = {node.name: node.fate for node in spikec.plan(pipeline(15)).nodes}
    assert fates["scaler"] == "linear"
    assert fates["hidden"] == "neuron"
    assert fates["softmax"] == fates["argmax"] == fates["picked"] == "readout"


def test_an_operator_without_a_form_is_a_model_error_that_names_the_node():
    model = pipeline(15)
    scaler = model.graph.node[0]
    imputer = helper.make_node(
        "Imputer", scaler.input, scaler.output, name="scaler", domain="ai.onnx.ml", imputed_value_floats=[0.0]
    )
    scaler.CopyFrom(imputer)
    with pytest.raises(spikec.ModelError, match=r"node 'scaler' \(Imputer\).*missing values; fill them in"):
        spikec.compile(model, calibration=X, steps=4)


def test_the_source_is_left_as_it_was():
    source = pipeline(15)
    before = source.SerializeToString()
    spikec.compile(source, calibration=X, steps=4)
    assert source.SerializeToString() == before
