"""Neurons in time: who is silent, where a neuron ends, how far it gets, and that outputs are what was sent.

Everything is seen from outside, in compiled networks that run in float64: v(t) is an output of the network.
"""

import functools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import spikec
from spikec.runtime import Session
from tests.models.graphs import initializer, normal, parse

T = 12
ROUNDING = 1e-12
F = {"Relu": lambda x: np.maximum(x, 0), "Tanh": np.tanh, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Abs": np.abs}
SAMPLES = np.linspace(-2, 2, 33, dtype=np.float32)[:, None]  # for calibration
SCHEDULES = ["geometric", "geometric:ratio=0.9,reach=3", "exponential", "inverse:scale=0.5", "constant:size=0.125"]
INPUTS = arrays.arrays(np.float32, (8, 1), elements=st.floats(-2, 2, width=32))
ANYTHING = arrays.arrays(np.float32, (8, 1), elements=st.floats(-50, 50, width=32))
OPTIONS = {
    "f": st.sampled_from(list(F)),
    "schedule": st.sampled_from(SCHEDULES),
    "dead_zone": st.sampled_from([0.0, 0.25, 0.5, 0.9]),
}
several = functools.partial(settings, deadline=None)


@functools.cache
def one_neuron(f, **options):
    """h = f(x) with a session for it: as x never changes, the neuron's input is constant."""
    text = f"g (float[N, 1] x) => (float[N, 1] h, float[N, 1] y) {{ h = {f}(x) y = MatMul(h, w) }}"
    model = parse(text, w=np.ones((1, 1), np.float32))
    artifact = spikec.compile(model, calibration=SAMPLES, steps=T, **options)
    (row,) = artifact.manifest["neurons"]
    return Session(artifact.model, precision="float64"), np.array(row["eta"]), row["amplitude"][0], row["initial"][0]


def trajectory(session, x, start=0.0):
    """v before the first step and after each, (T + 1, ...), and the spikes, (T, ...)."""
    steps = list(session.stream(x))
    values = [np.full(x.shape, start), *(step.outputs["h"] for step in steps)]
    return np.array(values), np.array([next(iter(step.spikes.values())) for step in steps])


def name_and_sizes(row):
    return row["name"], np.array(row["eta"]) * row["amplitude"][0]


def assert_fires_by(error, limit, spikes):
    """Towards the target where it is farther than the limit, else not; at the limit itself the last bit decides."""
    clear = np.abs(np.abs(error) - limit) > ROUNDING
    expected = np.where(np.abs(error) > limit, np.sign(error), 0)
    np.testing.assert_array_equal(spikes[clear], expected[clear])


@several(max_examples=80)
@given(x=INPUTS, **OPTIONS)
def test_a_neuron_is_silent_within_its_dead_zone_and_turns_to_its_target_outside(x, f, schedule, dead_zone):
    session, eta, amplitude, _ = one_neuron(f, schedule=schedule, dead_zone=dead_zone)
    v, spikes = trajectory(session, x)
    size = (eta * amplitude)[:, None, None]
    np.testing.assert_allclose(np.diff(v, axis=0), size * spikes, atol=ROUNDING)
    error = F[f](x.astype(np.float64)) - v[:-1]
    assert_fires_by(error, dead_zone * size, spikes)


@several(max_examples=80)
@given(x=ANYTHING, **OPTIONS)
def test_where_a_neuron_ends(x, f, schedule, dead_zone):
    """Who is silent is within theta*eta*a; who fires is eta*a nearer, or goes past by (1 - theta)*eta*a at most."""
    session, eta, amplitude, _ = one_neuron(f, schedule=schedule, dead_zone=dead_zone)
    target = F[f](x.astype(np.float64))
    bound = np.abs(target)
    for size in eta * amplitude:
        bound = np.maximum(max(dead_zone, 1 - dead_zone) * size, bound - size)
    v, _ = trajectory(session, x)
    assert (np.abs(v[-1] - target) <= bound + ROUNDING).all()


@several(max_examples=60)
@given(x=ANYTHING, f=OPTIONS["f"])
def test_the_default_neuron_ends_within_its_last_dead_zone_or_at_the_end_of_its_reach(x, f):
    session, eta, amplitude, _ = one_neuron(f)
    target = F[f](x.astype(np.float64))
    v, _ = trajectory(session, x)
    unreachable = np.abs(target) - amplitude * eta.sum()
    bound = np.maximum(0.5 * eta[-1] * amplitude, unreachable)
    assert (np.abs(v[-1] - target) <= bound + ROUNDING).all()
    beyond = unreachable > 0
    np.testing.assert_allclose(np.abs(v[-1] - target)[beyond], unreachable[beyond], rtol=1e-9, atol=1e-9)


@several(max_examples=80)
@given(x=ANYTHING, initial=st.sampled_from(["zero", "mean"]), **OPTIONS)
def test_no_neuron_leaves_its_reach(x, f, schedule, dead_zone, initial):
    session, eta, amplitude, start = one_neuron(f, schedule=schedule, dead_zone=dead_zone, initial=initial)
    v, _ = trajectory(session, x, start)
    travelled = amplitude * np.concatenate([[0], np.cumsum(eta)])[:, None, None]
    assert (np.abs(v - start) <= travelled * (1 + ROUNDING) + ROUNDING).all()


def test_at_its_target_a_binary_neuron_steps_down_and_a_ternary_one_rests():
    """Relu of a negative number is 0 = v(0), and sign(0) = +1."""
    x = -np.ones((1, 1), np.float32)
    binary, ternary = (trajectory(one_neuron("Relu", dead_zone=theta)[0], x) for theta in (0.0, 0.5))
    np.testing.assert_array_equal(binary[1][:2].ravel(), [-1, 1])
    assert (np.abs(binary[1]) == 1).all()
    assert not ternary[1].any() and not ternary[0].any()


def test_the_dead_zone_is_that_of_each_channel():
    w = np.diag(np.float32([0.1, 1, 10]))
    text = "g (float[N, 3] x) => (float[N, 3] h, float[N, 3] y) { a = MatMul(x, w) [act] h = Tanh(a) y = MatMul(h, w) }"
    artifact = spikec.compile(parse(text, w=w), calibration=np.tile(SAMPLES / 2, 3), steps=T, range_rule="max")
    amplitude = initializer(artifact.model, "act/amplitude").astype(np.float64)
    np.testing.assert_allclose(amplitude, np.tanh([0.1, 1, 10]), rtol=1e-6)
    x = normal(5, 3) / 4
    v, spikes = trajectory(Session(artifact.model, precision="float64"), x)
    size = np.array(artifact.manifest["neurons"][0]["eta"])[:, None, None] * amplitude
    assert_fires_by(np.tanh(x.astype(np.float64) @ w) - v[:-1], 0.5 * size, spikes)
    assert (spikes == 0).any(axis=(0, 1)).all()


TWO_LAYERS = """g (float[N, 3] x) => (float[N, 4] h, float[N, 4] k, float[N, 4] y) {
  a = Gemm(x, w, b) h = Relu(a) d = Gemm(h, u, c) k = Tanh(d) y = Gemm(k, u, c)
}"""


@several(max_examples=20)
@given(seed=st.integers(0, 2**32), dead_zone=st.sampled_from([0.0, 0.5]), schedule=st.sampled_from(SCHEDULES))
def test_estimates_and_outputs_are_affine_in_what_was_sent(seed, dead_zone, schedule):
    """x(t) = A(v(t)): the second layer fires by what the first has sent up to the same step."""
    shapes = {"w": (3, 4), "b": (4,), "u": (4, 4), "c": (4,)}
    weights = {name: normal(*shape, seed=seed + i) for i, (name, shape) in enumerate(shapes.items())}
    options = spikec.Options(steps=T, dead_zone=dead_zone, schedule=schedule)  # one amplitude a tensor
    artifact = spikec.compile(parse(TWO_LAYERS, **weights), calibration=normal(9, 3, seed=seed), options=options)
    names, sizes = zip(*(name_and_sizes(row) for row in artifact.manifest["neurons"]), strict=True)
    h = k = np.zeros((2, 4))
    for step in Session(artifact.model, precision="float64").stream(normal(2, 3, seed=seed + 9)):
        (first, second), (spikes, replies) = (size[step.t - 1] for size in sizes), (step.spikes[n] for n in names)
        h = h + first * spikes
        assert_fires_by(np.tanh(h @ weights["u"] + weights["c"]) - k, dead_zone * second, replies)
        k = k + second * replies
        found = [step.outputs[name] for name in "hky"]
        for value, expected in zip(found, (h, k, k @ weights["u"] + weights["c"]), strict=True):
            np.testing.assert_allclose(value, expected, atol=1e-10)
