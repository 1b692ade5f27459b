"""The three forms of the artifact of one network, in stock onnxruntime."""

import json

import numpy as np
import onnx
import pytest

import spikec
from spikec.onnx_session import run_model
from tests.models.forms import FORMS, STEPS, compiled, run_form
from tests.models.networks import MIXING, OPENED, TEXTS, flat, network


@pytest.mark.parametrize("name", TEXTS)
def test_the_forms_agree(name):
    feeds = network(name).feeds(3)
    loop, unrolled, step = (run_form(compiled(name, form), feeds) for form in FORMS)
    assert list(loop) == list(unrolled) == list(step)
    np.testing.assert_allclose(flat(unrolled), flat(loop), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(flat(step), flat(loop), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TEXTS)
def test_inputs_and_outputs_are_those_of_the_source(name, form):
    source, artifact = network(name).model.graph, compiled(name, form).model.graph
    count = len(source.input)
    assert [info for info in artifact.input[:count]] == list(source.input)
    assert list(artifact.output[: len(source.output)]) == list(source.output)
    carried = {info.name for info in artifact.input[count:]}
    assert carried <= {tensor.name for tensor in artifact.initializer}, "what form step adds has a default"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TEXTS)
def test_artifacts_are_valid_and_the_unrolled_form_is_standard_operators_only(name, form):
    model = compiled(name, form).model
    onnx.checker.check_model(model, full_check=True)
    if form == "unrolled":
        assert not model.functions
        assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
        assert not any(node.op_type in ("Loop", "If") for node in model.graph.node)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for name in TEXTS if name not in MIXING])
def test_the_batch_is_dynamic(name, form):
    artifact, feeds = compiled(name, form), network(name).feeds(7)
    whole = run_form(artifact, feeds)
    for size in (1, 3):
        part = run_form(artifact, {key: array[:size] for key, array in feeds.items()})
        for key, value in part.items():
            assert value.shape == (size, *whole[key].shape[1:])
            np.testing.assert_allclose(value, whole[key][:size], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["no neuron", "no neuron, readout"])
def test_a_network_without_neurons_is_computed_exactly(name, form):
    case, artifact = network(name), compiled(name, form)
    assert artifact.manifest["form"] == "loop" and artifact.manifest["neurons"] == []
    assert "no neurons and no time" in artifact.warnings[-1]
    feeds = case.feeds(3)
    np.testing.assert_allclose(flat(run_model(artifact.model, feeds)), flat(run_model(case.model, feeds)), rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in ("argmax", "no neuron", "no neuron, readout")])
def test_time_brings_the_network_closer_to_its_source(name):
    case = network(name)
    feeds, expected = case.feeds(6, seed=50), flat(run_model(case.model, case.feeds(6, seed=50)))
    distance = {}
    for steps in (4, 64):
        artifact = spikec.compile(case.model, calibration=feeds, steps=steps)
        distance[steps] = np.linalg.norm(flat(run_model(artifact.model, feeds)) - expected) / np.linalg.norm(expected)
    assert distance[64] < 0.15
    assert distance[64] < distance[4] / 2


@pytest.mark.parametrize("form", FORMS)
def test_integer_outputs(form):
    found = run_form(compiled("argmax", form), network("argmax").feeds(3))["y"]
    assert found.dtype == np.int64 and found.shape == (3,)


@pytest.mark.parametrize("form", FORMS)
def test_a_softmax_of_the_logits_is_the_softmax_of_the_logits(form):
    found = run_form(compiled("logits and softmax", form), network("logits and softmax").feeds(3))
    exponents = np.exp(found["y"] - found["y"].max(axis=1, keepdims=True))
    np.testing.assert_allclose(found["z"], exponents / exponents.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "output"), [("an output constant in time", "z"), ("an output passes the input", "z")])
def test_an_output_that_no_neuron_reaches_is_exact(name, output, form):
    case = network(name)
    feeds = case.feeds(3)
    expected = run_model(case.model, feeds)[output]
    np.testing.assert_allclose(run_form(compiled(name, form), feeds)[output], expected, rtol=1e-6)


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.parametrize("form", FORMS)
def test_strict_networks(name, form):
    case, artifact = network(name), compiled(name, form, granularity="strict")
    onnx.checker.check_model(artifact.model, full_check=True)
    assert {row["kind"] for row in artifact.manifest["neurons"]} <= {"unary", "binary", "product"}
    loop = run_form(compiled(name, granularity="strict"), case.feeds(3))
    np.testing.assert_allclose(flat(run_form(artifact, case.feeds(3))), flat(loop), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPENED)
def test_granularities_are_the_same_network_function(name):
    """Level 3 read as ONNX is the source, whatever was opened."""
    case = network(name)
    feeds = case.feeds(5)
    expected = flat(run_model(case.model, feeds))
    for granularity in ("strict", "composite"):
        level = compiled(name, granularity=granularity).levels.neurons
        np.testing.assert_allclose(flat(run_model(level, feeds)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dense", "layer norm", "two inputs"])
def test_two_compilations_give_the_same_bytes(name, form):
    case = network(name)
    first, second = (
        spikec.compile(case.model, calibration=case.feeds(6), steps=STEPS, form=form).model.SerializeToString()
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("coding", ["float", "spike"])
def test_encoded_inputs(coding, form):
    case, artifact = network("two inputs"), compiled("two inputs", form, coding=coding)
    encoders = [row["name"] for row in artifact.manifest["neurons"] if row["kind"] == "encoder"]
    assert encoders == ["x/encoder", "z/encoder"]
    loop = run_form(compiled("two inputs", coding=coding), case.feeds(3))
    np.testing.assert_allclose(flat(run_form(artifact, case.feeds(3))), flat(loop), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["mlp", "dense", "an inner sum is an output", "shared neuron"])
def test_subgradient_forms_agree(name, form):
    if name in ("an inner sum is an output", "shared neuron"):
        with pytest.raises(spikec.ModelError, match="integrate-and-fire"):
            compiled(name, form, dynamics="subgradient")
        return
    case, artifact = network(name), compiled(name, form, dynamics="subgradient")
    onnx.checker.check_model(artifact.model, full_check=True)
    loop = run_form(compiled(name, dynamics="subgradient"), case.feeds(3))
    np.testing.assert_allclose(flat(run_form(artifact, case.feeds(3))), flat(loop), rtol=1e-4, atol=1e-5)


def test_the_manifest_is_in_the_file_and_fits_it():
    artifact = compiled("dense")
    props = {entry.key: entry.value for entry in artifact.model.metadata_props}
    assert json.loads(props["spikec"]) == json.loads(json.dumps(artifact.manifest))
    assert props["spikec.format"] == str(artifact.manifest["format"])
    manifest = artifact.manifest
    assert (manifest["steps"], manifest["inputs"], manifest["outputs"]) == (STEPS, ["x"], ["y"])
    body = next(a.g for n in artifact.model.graph.node if n.op_type == "Loop" for a in n.attribute if a.name == "body")
    assert [state["next"] for state in manifest["states"]] == [info.name for info in body.output][1:]
    events = {name for node in body.node for name in node.output}
    assert {row["event"] for row in manifest["neurons"]} <= events
    assert all(len(row["eta"]) == STEPS for row in manifest["neurons"])
