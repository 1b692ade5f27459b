"""The neuron that was spoilt on purpose comes first."""

import functools

import numpy as np
import pytest

import spikec
from spikec.equivalence import relative_distance
from spikec.explaining import explain
from spikec.onnx_session import run_model
from tests.models.networks import flat, network
from tests.models.spoilt import with_amplitude

STEPS = 16
NAMES = ["deep", "residual", "dense", "two heads", "gated linear unit", "squeeze and excite", "attention", "two inputs"]
WORSE = 2.0  # times the distance of the outputs that it had before


@functools.cache
def healthy(name):
    case = network(name)
    return case, spikec.compile(case.model, calibration=case.feeds(64, seed=50), steps=STEPS)


def distance(model, case, feeds):
    return relative_distance(flat(run_model(model, feeds)), flat(run_model(case.model, feeds)))


@pytest.mark.parametrize("seed", range(10))
def test_the_spoilt_neuron_comes_first(seed):
    random = np.random.default_rng(seed)
    case, artifact = healthy(str(random.choice(NAMES)))
    feeds, factor = case.feeds(16, seed=100 + seed), float(random.choice([0.1, 8.0]))
    before = distance(artifact.model, case, feeds)
    spoilt = {n["name"]: with_amplitude(artifact.model, n["name"], factor) for n in artifact.manifest["neurons"]}
    moving = [name for name, model in spoilt.items() if distance(model, case, feeds) > WORSE * before]
    culprit = str(random.choice(moving))
    found = explain(case.model, spoilt[culprit], feeds)
    assert found.ranking[0] == culprit, found.shares
    assert f"'{culprit}'" in found.verdict()


@pytest.mark.parametrize(("factor", "words"), [(0.1, "saturated"), (8.0, "too coarse")])
def test_the_advice_names_what_was_done(factor, words):
    case, artifact = healthy("two heads")
    found = explain(case.model, with_amplitude(artifact.model, "h", factor), case.feeds(16, seed=3))
    assert found.ranking[0] == "h" and words in found.advice["h"], found.advice
    saturated = found.figures.saturated[found.names.index("h")]
    assert (saturated[-1] > 0.1) == (factor < 1)


def test_of_many_neurons_those_of_largest_own_error_are_made_ideal():
    case, artifact = healthy("deep")
    found = explain(case.model, with_amplitude(artifact.model, "g", 0.1), case.feeds(8), most=1)
    assert list(found.shares) == ["g"] and found.ranking[0] == "g" and set(found.ranking) == set(found.names)
    assert any("1 of 3 neurons" in warning for warning in found.warnings)
