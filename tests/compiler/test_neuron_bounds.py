"""What a neuron's schedule promises: it never leaves its reach, and what error it can be left with.

Everything is seen from outside, in compiled networks that run in float64: v(t) is an output of the network. The neuron
stands behind another one, through a weight of zero: so it is the deepest of its network, where the schedule is
staggered the most, and its input is constant all the same.
"""

import functools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import spikec
from spikec.calibration import layerwise
from spikec.options import PRESETS
from spikec.runtime import Session
from spikec.schedules import make_schedule
from tests.models.graphs import initializer, normal, parse

ROUNDING = 1e-9
NEURON = """g (float[N, 1] x) => (float[N, 1] k, float[N, 1] y) {
  h = Tanh(x) b = MatMul(h, nil) c = Add(b, x) k = LeakyRelu<alpha = 0.5>(c) y = MatMul(k, one)
}"""
SAMPLES = np.linspace(-2, 3, 33, dtype=np.float32)[:, None]  # for calibration
INPUTS = arrays.arrays(np.float32, (8, 1), elements=st.floats(-50, 50, width=32) | st.floats(-2, 3, width=32))
THETA = st.floats(0, 0.95)
RATIO = st.floats(0.3, 1.05)
SPECS = st.one_of(
    st.builds("geometric:ratio={},reach={},stagger={}".format, RATIO, st.floats(0.1, 4), st.floats(0, 30)),
    st.builds("exponential:start={},decay={}".format, st.floats(0.02, 1), RATIO),
    st.builds("inverse:scale={}".format, st.floats(0.05, 2)),
    st.builds("constant:size={}".format, st.floats(0.01, 1)),
)
TIMES = st.integers(1, 24)
several = functools.partial(settings, deadline=None)


@functools.cache
def prepared(initial="zero"):
    constants = {"nil": np.zeros((1, 1), np.float32), "one": np.ones((1, 1), np.float32)}
    options = spikec.Options(initial=initial)
    return spikec.prepare(parse(NEURON, **constants), calibration=SAMPLES, options=options)


def run(x, spec, steps, initial="zero", **options):
    """v before the first step and after each, (T + 1, N, 1); eta, (T,); a; f(x)."""
    artifact = prepared(initial).compile(schedule=spec, steps=steps, **options)
    row = next(row for row in artifact.manifest["neurons"] if row["name"] == "k")
    steps = Session(artifact.model, precision="float64").stream(x)
    v = np.array([np.full(x.shape, row["initial"][0]), *(step.outputs["k"] for step in steps)])
    wide = x.astype(np.float64)
    return v, np.array(row["eta"]), row["amplitude"][0], np.where(wide > 0, wide, wide / 2)


def farthest(theta):
    """Of an error within a step's reach, what the step may leave, in step sizes: silent, or past the target."""
    return np.maximum(theta, 1 - theta)


def all_can_be_covered(eta, theta):
    """Whether later steps can cover whatever a step leaves: m(t)*eta(t) <= sum of eta(s), s > t, + m(T-1)*eta(T-1).

    With it, an error that all steps from t on could cover stays one. Without, a neuron may step past its target, or
    be silent, and find no step left that is large enough.
    """
    left = farthest(theta) * eta
    rest = np.cumsum(eta[::-1])[::-1] - eta
    return bool((left[:-1] <= rest[:-1] + left[-1]).all())


@several(max_examples=150)
@given(x=INPUTS, spec=SPECS, steps=TIMES, theta=THETA, initial=st.sampled_from(["zero", "mean"]))
def test_reach_is_never_exceeded(x, spec, steps, theta, initial):
    v, eta, amplitude, _ = run(x, spec, steps, initial, dead_zone=theta)
    travelled = amplitude * np.concatenate([[0], np.cumsum(eta)])[:, None, None]
    assert (np.abs(v - v[0]) <= travelled * (1 + ROUNDING)).all()


@several(max_examples=300)
@given(x=INPUTS, spec=SPECS, steps=TIMES, theta=THETA, early=st.none() | st.floats(0.05, 0.95))
def test_the_final_error_is_within_the_last_step_or_beyond_reach(x, spec, steps, theta, early):
    """max(theta, 1 - theta) of the last step at most, for a binary neuron all of it; beyond reach, what is beyond."""
    options = {"dead_zone": theta, "early_dead_zone": "" if early is None else f"unary={early}"}
    v, eta, amplitude, target = run(x, spec, steps, **options)
    zones = np.full(steps, theta if early is None or not theta else early)
    zones[-1] = theta
    assume(all_can_be_covered(eta, zones))
    beyond = np.abs(target - v[0]) - amplitude * eta.sum()
    last = farthest(theta) * eta[-1] * amplitude
    error = np.abs(v[-1] - target)
    assert (error <= np.maximum(last, beyond) + ROUNDING).all()
    hopeless = beyond > last
    np.testing.assert_allclose(error[hopeless], beyond[hopeless], rtol=1e-6)


@several(max_examples=100)
@given(x=INPUTS, steps=TIMES, theta=st.floats(0.5, 0.95))
def test_from_theta_a_half_on_the_last_dead_zone_bounds_the_error(x, steps, theta):
    v, eta, amplitude, target = run(x, "geometric", steps, dead_zone=theta)
    beyond = np.abs(target) - amplitude * eta.sum()
    assert (np.abs(v[-1] - target) <= np.maximum(theta * eta[-1] * amplitude, beyond) + ROUNDING).all()


@several(max_examples=100)
@given(spec=SPECS, steps=st.integers(2, 60), theta=THETA, depth=st.floats(0, 1))
def test_no_step_much_shorter_than_the_one_before_it_is_enough(spec, steps, theta, depth):
    """Any schedule will do in which no step is below m / (1 + m) of the one before: for theta 1/2 a third."""
    eta = make_schedule(spec, steps, depth).astype(np.float64)
    m = farthest(theta)
    assume((eta[1:] >= m / (1 + m) * eta[:-1] * (1 + ROUNDING)).all())
    assert all_can_be_covered(eta, np.full(steps, theta))


@pytest.mark.parametrize(("theta", "early"), [(0.0, 0.0), (0.5, 0.5), (0.5, 0.3)])
def test_the_fitted_schedule_is_one_of_those(theta, early):
    for steps in (*range(1, 70), 256, 1024):
        zones = np.full(steps, early)
        zones[-1] = theta
        for depth in np.linspace(0, 1, 9):
            assert all_can_be_covered(make_schedule("geometric", steps, depth).astype(np.float64), zones)


@pytest.mark.parametrize("theta", [0.0, 0.25, 0.5, 0.75])
def test_with_steps_that_shrink_faster_an_error_may_stay(theta):
    """At the border of its first dead zone a neuron is left with m of that step; the others sum up to less."""
    m = farthest(theta)
    spec = f"geometric:ratio={0.8 * m / (1 + m)},stagger=0"
    eta = make_schedule(spec, 12).astype(np.float64)
    assert not all_can_be_covered(eta, np.full(12, theta))
    border = theta * eta[0] * prepared().seen.amplitude["k"].item()
    x = np.float32([[border * (1 - 1e-4)], [border * (1 + 1e-4)]])
    v, _, amplitude, target = run(x, spec, 12, dead_zone=theta)
    assert (np.abs(v[-1] - target) > farthest(theta) * eta[-1] * amplitude * 2).any()


LAYERS = """g (float[N, 3] x) => (float[N, 4] e, float[N, 2] y) {
  a = Gemm(x, w, b) h = Relu(a) d = Gemm(h, u, c) e = Add(d, a) k = Tanh(e) y = Gemm(k, o, s)
}"""
SHAPES = {"w": (3, 4), "b": (4,), "u": (4, 4), "c": (4,), "o": (4, 2), "s": (2,)}


@pytest.fixture(autouse=True, scope="module")
def few_are_enough():
    """So that channels of these small networks have offsets of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layerwise, "ENOUGH", 1)
        yield


@functools.cache
def layers(preset):
    weights = {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(SHAPES.items())}
    options = PRESETS["default"] if preset else spikec.Options()
    return spikec.prepare(parse(LAYERS, **weights), calibration=normal(20, 3, seed=9), options=options), weights


@several(max_examples=60)
@given(
    preset=st.booleans(),
    spec=st.builds("geometric:ratio={},stagger={}".format, RATIO, st.floats(0, 60)),
    steps=st.integers(2, 16),
    theta=st.sampled_from([0.0, 0.5]),
)
def test_however_deep_the_stagger_estimates_are_affine_in_what_was_sent(preset, spec, steps, theta):
    """x(t) = A(v(t)), the estimate e being an output and v what it starts from, with its offset, and all events."""
    prepared, weights = layers(preset)
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    artifact = prepared.compile(schedule=spec, steps=steps, dead_zone=theta)
    assert artifact.recurrent.offsets.keys() == ({"h", "k"} if preset else set())
    start = {name: initializer(artifact.model, f"{name}/initial").astype(np.float64) for name in "hk"}
    v = {name: start[name] + artifact.recurrent.offsets.get(name, np.zeros(4)) for name in "hk"}
    size = {name: initializer(artifact.model, f"{name}/amplitude").astype(np.float64) for name in "hk"}
    x = normal(3, 3, seed=10)
    current = x.astype(np.float64) @ w["w"] + w["b"]
    for step in Session(artifact.model, precision="float64").stream(x):
        for name, eta in artifact.recurrent.schedules.items():
            v[name] = v[name] + float(eta[step.t - 1]) * size[name] * step.spikes[name]
        np.testing.assert_allclose(step.outputs["e"], v["h"] @ w["u"] + w["c"] + current, atol=1e-10)
        np.testing.assert_allclose(step.outputs["y"], v["k"] @ w["o"] + w["s"], atol=1e-10)
