"""The artifact under watch is the artifact; with ideal neurons it is the trained network."""

import numpy as np
import pytest
import torch

import spikec
from spikec.calibration import layerwise
from spikec.explaining.figures import FigureSums
from spikec.explaining.influence import shares
from spikec.explaining.watching import ANY, WatchedSteps
from spikec.lowering.network import Network
from spikec.onnx_session import run_model, with_outputs
from spikec.runtime import Session
from spikec.runtime.parts import take_apart
from tests.models.forms import STEPS, compiled
from tests.models.networks import TEXTS, network

SETTINGS = {
    "default": {},
    "strict": {"granularity": "strict", "range_rule": "max"},
    "spikes in, step": {"coding": "spike", "form": "step"},
    "graded": {"coding": "float"},
    "affine": {"readout": "affine"},
}
WITH_NEURONS = [name for name in TEXTS if not name.startswith("no neuron")]


def watched(name, **options):
    return WatchedSteps(take_apart(compiled(name, **options).model))


@pytest.mark.parametrize("name", WITH_NEURONS)
@pytest.mark.parametrize("chosen", SETTINGS)
def test_one_ideal_step_is_the_trained_network(name, chosen):
    """Activations of every neuron as level 3 has them, read as the ANN; outputs as the source's."""
    artifact = compiled(name, **SETTINGS[chosen])
    case, steps = network(name), watched(name, **SETTINGS[chosen])
    feeds = case.feeds(5, seed=70)
    activations, trained = steps.trained(feeds)
    tensors = {n.name: n.output for n in Network(artifact.levels.neurons).neurons.values()}
    expected = run_model(with_outputs(artifact.levels.neurons, list(tensors.values())), feeds)
    assert activations.keys() == tensors.keys()
    for neuron, tensor in tensors.items():
        np.testing.assert_allclose(activations[neuron].numpy(), expected[tensor], rtol=1e-3, atol=1e-4, err_msg=neuron)
    for output, value in run_model(case.model, feeds).items():
        np.testing.assert_allclose(trained.outputs[output], value, rtol=1e-3, atol=1e-4, err_msg=output)


def test_offsets_are_no_part_of_the_trained_network(monkeypatch):
    monkeypatch.setattr(layerwise, "ENOUGH", 1)
    case = network("deep")
    artifact = spikec.compile(case.model, calibration=case.feeds(40), steps=3, correction=1.0)
    assert artifact.recurrent.offsets.keys() == {"e", "g", "h"}
    steps, feeds = WatchedSteps(take_apart(artifact.model)), case.feeds(5, seed=70)
    expected = run_model(case.model, feeds)["y"]
    np.testing.assert_allclose(steps.trained(feeds)[1].outputs["y"], expected, rtol=1e-4, atol=1e-5)
    *_, last = steps.follow(feeds, 3, ideal=dict.fromkeys("egh", ANY))
    np.testing.assert_allclose(last.outputs["y"], expected, rtol=1e-4, atol=1e-5)
    seen = {}
    stream = [step.spikes["e"] for step in Session(artifact.model).stream(feeds)]
    for _ in steps.follow(feeds, 1, lambda firing: seen.update({firing.neuron.name: firing})):
        pass
    np.testing.assert_allclose(
        (seen["e"].seen - seen["e"].v).numpy(), np.broadcast_to(artifact.recurrent.offsets["e"], (5, 5)), atol=1e-6
    )
    np.testing.assert_array_equal(np.sign(seen["e"].event.numpy()), stream[0])


@pytest.mark.parametrize("name", WITH_NEURONS)
@pytest.mark.parametrize("chosen", ["default", "spikes in, step", "affine"])
def test_watching_changes_nothing(name, chosen):
    feeds = network(name).feeds(5, seed=70)
    moments = list(watched(name, **SETTINGS[chosen]).follow(feeds, STEPS))
    stream = list(Session(compiled(name, **SETTINGS[chosen]).model).stream(feeds))
    assert len(moments) == len(stream) == STEPS
    for moment, step in zip(moments, stream, strict=True):
        assert moment.t == step.t and moment.outputs.keys() == step.outputs.keys()
        for output, value in step.outputs.items():
            np.testing.assert_array_equal(moment.outputs[output], value)


@pytest.mark.parametrize("chosen", SETTINGS)
def test_neurons_that_are_all_ideal_have_no_error(chosen):
    steps = watched("residual", **SETTINGS[chosen])
    found = _figures(steps, dict.fromkeys([n.name for n in steps.neurons], ANY))
    for what in (found.distance, found.inherited, found.own):
        np.testing.assert_allclose(what, 0, atol=1e-5)
    assert not found.saturated.any()


@pytest.mark.parametrize("position", range(3))
def test_what_one_neuron_adds_others_inherit(position):
    """Exact but for one: nothing before it, all of its own at it, nothing but inherited behind it."""
    steps = watched("deep")
    names = [neuron.name for neuron in steps.neurons]
    real = names[position]
    found = _figures(steps, {name: ANY for name in names if name != real})
    np.testing.assert_allclose(found.distance[:position], 0, atol=1e-5)
    np.testing.assert_allclose(found.inherited[position], 0, atol=1e-5)
    np.testing.assert_allclose(found.own[position], found.distance[position], rtol=1e-3, atol=1e-5)
    assert found.own[position, 0] > 0.01
    np.testing.assert_allclose(found.own[position + 1 :], 0, atol=1e-5)
    assert (found.inherited[position + 1 :, 0] > 1e-3).all()


def test_the_only_neuron_has_the_whole_share():
    steps = watched("mlp")
    assert shares(steps, ["h"], network("mlp").feeds(5)) == pytest.approx({"h": 1.0}, abs=1e-4)


def test_a_share_tells_what_a_neuron_costs_from_what_it_inherits():
    steps = watched("deep", dead_zone=0.0)
    told = []
    found = shares(steps, ["e", "g", "h"], network("deep").feeds(9), lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert sum(found.values()) == pytest.approx(1, abs=0.5)


def test_integrate_and_fire_is_watched_too():
    case = network("mlp")
    artifact = spikec.compile(
        case.model, calibration=case.feeds(6), steps=STEPS, dynamics="subgradient", coding="float"
    )
    steps, feeds = WatchedSteps(take_apart(artifact.model)), case.feeds(5, seed=70)
    assert [(n.name, n.graded, n.forgets) for n in steps.neurons] == [("x/encoder", True, True), ("h", False, True)]
    np.testing.assert_allclose(
        steps.trained(feeds)[1].outputs["y"], run_model(case.model, feeds)["y"], rtol=1e-4, atol=1e-5
    )
    ideal = dict.fromkeys(["x/encoder", "h"], ANY)
    for moment in steps.follow(feeds, STEPS, ideal=ideal):
        np.testing.assert_allclose(moment.outputs["y"], run_model(case.model, feeds)["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("deep", {"e": (), "g": ("e",), "h": ("g",)}),
        ("neuron fed by a neuron", {"e": (), "i": ("e",)}),
        ("two heads", {"h": (), "f": ("h",)}),
        ("dense", {"e": (), "g": ("e",)}),
    ],
)
def test_sources_are_the_neurons_before(name, sources):
    assert {neuron.name: neuron.sources for neuron in watched(name).neurons} == sources


def test_tables_are_those_of_the_manifest():
    rows = compiled("deep").manifest["neurons"]
    for neuron, row in zip(watched("deep").neurons, rows, strict=True):
        np.testing.assert_array_equal(neuron.eta, row["eta"])
        assert (neuron.name, neuron.kind, neuron.function) == (row["name"], row["kind"], row["function"])


def _figures(steps, ideal):
    feeds = network("residual" if len(steps.neurons) == 2 else "deep").feeds(6, seed=8)
    sums = FigureSums(steps.neurons, STEPS)
    sums.begin(steps.trained(feeds)[0])
    for _ in steps.follow(feeds, STEPS, sums.look, ideal):
        pass
    assert all(torch.isfinite(torch.as_tensor(x)).all() for x in sums.errors)
    return sums.figures()
