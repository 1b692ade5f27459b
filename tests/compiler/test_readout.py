"""The affine readout in artifacts: they compute it, all else stays the same; who asks for it, and what is refused."""

import numpy as np
import pytest

import spikec
from spikec.calibration import fitting
from spikec.calibration.readout import FEWEST
from spikec.errors import UsageError
from spikec.lowering.readout import Affine
from spikec.options import PRESETS, from_preset
from spikec.runtime import Session
from tests.models.forms import FORMS, STEPS, run_form
from tests.models.graphs import parse
from tests.models.networks import ROW, SCORES, WEIGHTS, Case
from tests.models.networks import network as stored

READ_TWICE = "a = Gemm(x, w, b) e = Relu(a) g = Gemm(e, q) h = Tanh(g) y = Gemm(h, v, c)"
OWN = {
    "a sum for a neuron too": Case(
        parse(f"g ({ROW}) => (float[N, 5] g, {SCORES}) {{ {READ_TWICE} }}", **WEIGHTS), {"x": (6,)}
    )
}


def network(name):
    return OWN[name] if name in OWN else stored(name)


def ready(name, samples=64, seed=50, **chosen):
    case = network(name)
    return spikec.prepare(case.model, calibration=case.feeds(samples, seed=seed), **chosen)


# network -> outputs without an operator behind the correction
DIRECT = {
    "deep": {"y"},
    "a sum for a neuron too": {"g", "y"},
    "a neuron's own tensor is an output": {"h", "y"},
    "logits and softmax": {"y"},
    "two heads": {"y"},
    "attention": {"y"},
    "squeeze and excite": {"y"},
    "an output constant in time": {"y"},
    "a scalar output": {"y"},
}


@pytest.fixture
def forced(monkeypatch):
    """Corrections that nobody could mistake for a fit, of every tensor that could have one."""

    def drawn(network, courses):
        random, found = np.random.default_rng(5), {}
        for name in (n for n in courses if n in network.timed):
            value = courses[name][0][0]
            axis = {2: 1, 3: 2, 4: 1}.get(value.ndim)
            shape = () if axis is None else (value.shape[axis], *([1] * (value.ndim - 1 - axis)))
            pair = random.uniform(0.5, 1.5, (2, *shape)).astype(np.float32)
            found[name] = Affine(pair[0], pair[1])
        return found

    monkeypatch.setattr(fitting, "fit_readout", drawn)


def expected(name, plain, corrections):
    """The outputs that have no operator behind them, corrected."""
    return {n: plain[n] * corrections[n].scale + corrections[n].offset for n in DIRECT[name]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", DIRECT)
def test_stock_onnxruntime_gives_the_corrected_outputs(forced, name, form):
    prepared, feeds = ready(name, 6, form=form), network(name).feeds(5, seed=3)
    affine = prepared.compile(steps=STEPS, readout="affine")
    plain, found = run_form(prepared.compile(steps=STEPS), feeds), run_form(affine, feeds)
    wanted = expected(name, plain, affine.recurrent.corrections)
    for output, value in wanted.items():
        np.testing.assert_allclose(found[output], value, rtol=1e-5, atol=1e-6)
        assert np.abs(value - plain[output]).max() > 0.1
    if name == "logits and softmax":
        np.testing.assert_allclose(found["z"], np.exp(found["y"]) / np.exp(found["y"]).sum(1, keepdims=True), rtol=1e-4)
    if name == "an output constant in time":
        np.testing.assert_array_equal(found["z"], plain["z"])


READ_INSIDE = ("a sum for a neuron too", "a neuron's own tensor is an output")
WAYS = [(name, form, "onnxruntime", "auto") for name in READ_INSIDE for form in FORMS]
WAYS += [(name, form, "torch", "steps") for name in READ_INSIDE for form in FORMS]
WAYS += [("a sum for a neuron too", form, "torch", "layers") for form in ("loop", "step")]


@pytest.mark.parametrize(("name", "form", "backend", "evaluation"), WAYS)
def test_nothing_but_the_outputs_changes(forced, name, form, backend, evaluation):
    prepared, feeds = ready(name, 6, form=form), network(name).feeds(5, seed=3)
    affine = prepared.compile(steps=STEPS, readout="affine")
    sessions = [
        Session(artifact.model, backend, evaluation=evaluation) for artifact in (prepared.compile(steps=STEPS), affine)
    ]
    plain, found = (made.run(feeds, range(1, STEPS + 1)) for made in sessions)
    assert found.rate == plain.rate > 0
    for t in range(1, STEPS + 1):
        wanted = expected(name, plain.outputs[t], affine.recurrent.corrections)
        assert len(wanted) == len(found.outputs[t])
        for output, value in wanted.items():
            np.testing.assert_allclose(found.outputs[t][output], value, rtol=1e-5, atol=1e-6)
    for before, after in zip(*(made.stream(feeds) for made in sessions), strict=True):
        for neuron, spikes in before.spikes.items():
            np.testing.assert_array_equal(after.spikes[neuron], spikes)


def test_what_is_prepared_once_compiles_with_either_readout():
    prepared = ready("deep", 128)
    plain, affine = prepared.compile(steps=2), prepared.compile(steps=2, readout="affine")
    assert plain.manifest["options"]["readout"] == "plain" and plain.manifest["readout"]["corrections"] == []
    assert affine.manifest["options"]["readout"] == "affine"
    (row,) = affine.manifest["readout"]["corrections"]
    found = affine.recurrent.corrections["y"]
    assert row == {
        "tensor": "y",
        "scale": [float(found.scale.min()), float(found.scale.max())],
        "offset": [float(found.offset.min()), float(found.offset.max())],
    }
    again = ready("deep", 128, readout="affine", steps=2).compile()
    assert again.model.SerializeToString() == affine.model.SerializeToString()
    assert prepared.compile(steps=2).model.SerializeToString() == plain.model.SerializeToString()


def test_no_neuron_no_correction():
    artifact = ready("no neuron, readout", readout="affine").compile()
    assert artifact.recurrent.corrections == {}
    assert not any("affine" in warning for warning in artifact.warnings)


def test_a_readout_that_stays_plain_is_told_of():
    prepared = ready("deep", FEWEST - 1)
    (warning,) = prepared.compile(steps=2, readout="affine").warnings
    assert "affine readout" in warning and f"{FEWEST} calibration samples" in warning
    assert prepared.compile(steps=2).warnings == []
    assert ready("deep", 128).compile(steps=2, readout="affine").warnings == []


def test_it_is_off_unless_asked_for():
    assert {options.readout for options in PRESETS.values()} == {"plain"}


@pytest.mark.parametrize(
    "chosen", [{"range_rule": "max"}, {"dynamics": "subgradient"}, {"range_rule": "percentile:99"}], ids=str
)
def test_without_a_fit_it_is_refused(chosen):
    with pytest.raises(UsageError) as refused:
        from_preset("default", readout="affine", **chosen)
    assert "dynamics signgd with --range-rule fit, or --readout plain" in str(refused.value)
    prepared = ready("mlp", 6, **chosen)
    with pytest.raises(UsageError) as again:
        prepared.compile(readout="affine")
    assert str(again.value) == str(refused.value)
    with pytest.raises(UsageError, match="affine readout"):
        from_preset("paper", readout="affine")


def test_the_tuner_judges_what_will_be_compiled():
    pytest.importorskip("optuna")
    prepared = ready("deep", 256)
    plain, affine = (prepared.tune(steps=2, trials=1, budget=600, readout=r) for r in ("plain", "affine"))
    assert affine.default < 0.95 * plain.default
