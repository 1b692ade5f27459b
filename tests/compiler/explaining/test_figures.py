"""Every figure against a recomputation from what ``Session.stream`` gives out, the weights and the tables."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spikec
from spikec.calibration import layerwise
from spikec.explaining import explain
from spikec.explaining.figures import CAUSES, FigureSums, out_of_reach
from spikec.explaining.neurons import StoredNeuron
from spikec.explaining.watching import Firing
from spikec.runtime import Session
from tests.models.graphs import initializer, normal, parse

TWO = """g (float[N, 6] x) => (float[N, 4] y) {
    a = Gemm(x, w, b) [e] e = Relu(a) f = Gemm(e, q) [g] g = Tanh(f) y = Gemm(g, v)
}"""
WEIGHTS = {"w": normal(6, 5, seed=1), "b": normal(5, seed=2), "q": normal(5, 5, seed=3), "v": normal(5, 4, seed=4)}
STEPS = 6


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    """A handful of values may speak for a channel here, so that a fit gives offsets."""
    monkeypatch.setattr(layerwise, "ENOUGH", 1)


def two(**options):
    model = parse(TWO, **WEIGHTS)
    return model, spikec.compile(model, calibration=normal(64, 6, seed=5), steps=STEPS, **options)


class ByHand:
    """The two neurons, their v from the spikes that were sent, in float64."""

    def __init__(self, artifact, x):
        rows = {row["name"]: row for row in artifact.manifest["neurons"]}
        self.eta = {n: np.array(row["eta"]) for n, row in rows.items()}
        self.a = {n: self.stored(artifact, f"{n}/amplitude") for n in rows}
        self.start = {n: self.stored(artifact, f"{n}/initial") + np.zeros((len(x), 5)) for n in rows}
        offsets = artifact.recurrent.offsets
        self.offset = {n: offsets[n].astype(np.float64) if n in offsets else 0.0 for n in rows}
        self.spikes = [step.spikes for step in Session(artifact.model).stream({"x": x})]
        self.input = x.astype(np.float64) @ WEIGHTS["w"] + WEIGHTS["b"]
        self.ann = {"e": np.maximum(self.input, 0)}
        self.ann["g"] = np.tanh(self.ann["e"] @ WEIGHTS["q"])

    @staticmethod
    def stored(artifact, name):
        return initializer(artifact.levels.neurons, name).astype(np.float64)

    def v(self, name, t):
        sent = sum(self.eta[name][s] * self.a[name] * self.spikes[s][name] for s in range(t))
        return self.start[name] + sent

    def f(self, name, t):
        if name == "e":
            return np.maximum(self.input, 0)
        return np.tanh((self.v("e", t) + self.offset["e"]) @ WEIGHTS["q"])

    def figures(self, name, t):
        v, f, ann, eta, a = self.v(name, t), self.f(name, t), self.ann[name], self.eta[name], self.a[name]
        seen, norm = v + self.offset[name], np.linalg.norm(ann)
        gap, way = (abs(f - v), a * eta[t:].sum()) if t < STEPS else (abs(f - self.start[name]), a * eta.sum())
        silent = np.all([self.spikes[s][name] == 0 for s in range(t)], axis=0)
        return {
            "distance": np.linalg.norm(seen - ann) / norm,
            "inherited": np.linalg.norm(f - ann) / norm,
            "own": np.linalg.norm(seen - f) / norm,
            "saturated": np.mean(gap > way * (1 + 1e-4)),
            "dead": np.mean(silent & (abs(ann - self.start[name]) > eta.min() * a)),
            "rate": np.mean(self.spikes[t - 1][name] != 0),
        }


@pytest.mark.parametrize(
    "options",
    [{}, {"form": "step"}, {"correction": 0.0}, {"range_rule": "percentile:60", "initial": "mean"}, {"dead_zone": 0.0}],
)
def test_figures_equal_a_recomputation_from_the_stream(options):
    model, artifact = two(**options)
    x = normal(40, 6, seed=9)  # three batches
    by_hand, found = ByHand(artifact, x), explain(model, artifact, x)
    assert found.names == ["e", "g"] and found.samples == 40
    for row, name in enumerate(found.names):
        for t in range(1, STEPS + 1):
            for what, value in by_hand.figures(name, t).items():
                assert getattr(found.figures, what)[row, t - 1] == pytest.approx(value, rel=1e-4, abs=1e-5), (
                    name,
                    t,
                    what,
                )


def test_offsets_and_saturation_occur_in_these_recomputations():
    assert two()[1].recurrent.offsets
    assert explain(*two(range_rule="percentile:60"), normal(40, 6, seed=9)).figures.saturated[:, -1].any()


def test_the_outputs_over_time_are_those_of_the_stream():
    model, artifact = two()
    x = normal(20, 6, seed=9)
    y = np.tanh(np.maximum(x @ WEIGHTS["w"] + WEIGHTS["b"], 0) @ WEIGHTS["q"]) @ WEIGHTS["v"]
    expected = [np.linalg.norm(step.outputs["y"] - y) / np.linalg.norm(y) for step in Session(artifact.model).stream(x)]
    np.testing.assert_allclose(explain(model, artifact, x).outputs["y"], expected, rtol=1e-5)


def test_causes_share_out_the_own_error():
    causes = explain(*two(), normal(20, 6, seed=9)).figures.causes
    np.testing.assert_allclose(causes.sum(axis=1), 1)
    assert causes.shape == (2, len(CAUSES)) and (causes >= 0).all()


def neuron(eta, forgets=False, graded=False):
    return StoredNeuron("n", "Relu", "unary", np.asarray(eta, np.float64), forgets, graded, ())


values = st.lists(st.floats(-4, 4, width=32), min_size=6, max_size=6).map(torch.tensor)


@given(values, values, values)
@settings(max_examples=60, deadline=None)
def test_the_parts_obey_the_triangle_inequality(seen, f, ann):
    sums = FigureSums([neuron([0.5])], 1)
    sums.begin({"n": ann})
    sums.look(Firing(neuron([0.5]), 1, seen * 0, seen, seen, f, seen, torch.tensor(1.0)))
    found = sums.figures()
    d, i, o = (float(x[0, 0]) for x in (found.distance, found.inherited, found.own))
    slack = 1e-5 * (1 + d + i + o)
    assert d <= i + o + slack and i <= d + o + slack and o <= d + i + slack


@given(
    st.lists(st.just(0.0) | st.floats(2**-20, 1), min_size=1, max_size=8),  # below lies what float32 flushes to 0
    st.floats(-3, 3),
    st.floats(0.25, 4),
    st.booleans(),
    st.randoms(),
)
@settings(max_examples=100, deadline=None)
def test_what_events_reach_is_within_reach(eta, start, amplitude, forgets, random):
    """Whatever a neuron sends, where it arrives is not called out of its reach; what lies well beyond it is."""
    v = highest = lowest = max(0.0, start) if forgets else start
    for step in eta:
        sign = random.choice([0, 1] if forgets else [-1, 0, 1])
        kept = 1 - step if forgets else 1.0
        v = kept * v + step * amplitude * sign
        highest = kept * highest + step * amplitude
        lowest = kept * lowest - (0 if forgets else step * amplitude)
    begin, a = torch.tensor(max(0.0, start) if forgets else start), torch.tensor(amplitude)
    for target, beyond in ((v, False), (highest + 0.1, True), (lowest - 0.1, True)):
        assert bool(out_of_reach(neuron(eta, forgets), torch.tensor(target), begin, a)) is beyond


def test_of_a_schedule_only_what_remains_counts():
    n, target, start = neuron([0.5, 0.25]), torch.tensor([0.3, 0.2]), torch.zeros(2)
    assert out_of_reach(n, target, start, torch.tensor(1.0), n.eta[1:]).tolist() == [True, False]


def test_graded_events_have_no_bound():
    far = torch.tensor([1e6])
    assert not out_of_reach(neuron([0.1], graded=True), far, far * 0, torch.tensor(1.0)).any()


@pytest.mark.parametrize(
    ("f", "ann", "seen", "event", "cause"),
    [
        (2.0, 0.4, 0.75, 0.25, "misled"),
        (2.0, 2.0, 0.75, 0.25, "saturated"),
        (0.6, 0.6, 0.0, 0.0, "dead"),
        (0.6, 0.6, 0.75, 0.25, "resolution"),
        (0.1, 0.1, 0.75, 0.25, "late"),
    ],
)
def test_each_cause(f, ann, seen, event, cause):
    """v(0) = 0, amplitude 1, step sizes .5 and .25: v reaches .75, and its last event moves it by .25."""
    sums, n = FigureSums([neuron([0.5, 0.25])], 2), neuron([0.5, 0.25])
    zero, last = torch.zeros(1), torch.tensor([seen])
    sums.begin({"n": torch.tensor([ann])})
    sums.look(Firing(n, 1, zero, zero, zero, torch.tensor([f]), zero, torch.tensor(1.0)))
    sums.look(Firing(n, 2, zero, last, last, torch.tensor([f]), torch.tensor([event]), torch.tensor(1.0)))
    assert sums.figures().causes[0].tolist() == [float(name == cause) for name in CAUSES]
