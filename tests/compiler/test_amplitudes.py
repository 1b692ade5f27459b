"""Amplitudes, initial values, reach and shortfall of compiled neurons, in numbers that can be reckoned by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import spikec
from spikec.runtime import Session
from tests.models.graphs import initializer, normal, parse, scalar

# one column a channel; the last is never seen above zero
DATA = np.float32([[1, -6, -1], [2, 2, -2], [3, 0, 0], [6, 1, 0]])
HUNDRED = np.arange(1, 101, dtype=np.float32)[:, None] * np.float32([1, 10, 0])
BINS = 2048
SIMPLE = {"range_rule": "max", "range_per": "tensor", "steps": 4}  # a fit has tests of its own
CONSTANTS = {"w": normal(3, 2), "low": scalar(-5), "high": scalar(5), "k": normal(4, 2, 1, 1), "v": normal(5, 2)}
SATURATES = (
    "1 of 1 neuron nodes saturate, their schedule cannot reach the calibrated range: act; use --ranges every, "
    "--range-rule max, or a schedule with a larger sum (spikec inspect shows range and reach)"
)


def compiled(call, data=DATA, **options):
    """x -> call -> MatMul, with the row of its neuron."""
    model = parse(f"g (float[N, 3] x) => (float[N, 2] y) {{ [act] h = {call} y = MatMul(h, w) }}", **CONSTANTS)
    artifact = spikec.compile(model, calibration=data, **{**SIMPLE, **options})
    return artifact, artifact.manifest["neurons"][-1]


def amplitude(artifact):
    return initializer(artifact.model, "act/amplitude")


@pytest.mark.parametrize(
    ("call", "tensor", "channels", "low", "high"),
    [
        ("Relu(x)", 6, [6, 2, 0], 0, 6),
        ("Abs(x)", 6, [6, 6, 2], 0, 6),
        ("Clip(x, low, high)", 5, [5, 5, 2], -5, 5),
        ("LeakyRelu<alpha = 0.5>(x)", 6, [6, 3, 1], -3, 6),
    ],
)
def test_the_largest_output_for_the_tensor_and_for_each_channel(call, tensor, channels, low, high):
    artifact, row = compiled(call)
    np.testing.assert_array_equal(amplitude(artifact), np.float32(tensor))
    assert (row["amplitude"], row["amplitudes"], row["range"]) == ([tensor, tensor], 1, [low, high])
    artifact, row = compiled(call, range_per="channel")
    np.testing.assert_array_equal(amplitude(artifact), np.float32(channels))
    assert (row["amplitude"], row["amplitudes"]) == ([min(channels), max(channels)], 3)


def test_from_its_mean_a_neuron_has_less_far_to_go():
    """Means of Relu's columns: 3, 3/4, 0; of all of them 15/12."""
    artifact, row = compiled("Relu(x)", initial="mean")
    assert (row["initial"], row["amplitude"]) == ([1.25, 1.25], [4.75, 4.75])
    artifact, row = compiled("Relu(x)", initial="mean", range_per="channel")
    np.testing.assert_array_equal(initializer(artifact.levels.neurons, "act/initial"), np.float32([3, 0.75, 0]))
    np.testing.assert_array_equal(amplitude(artifact), np.float32([3, 1.25, 0]))


@pytest.mark.parametrize("percent", [25, 50, 99])
def test_percentiles(percent):
    artifact, _ = compiled("Relu(x)", HUNDRED, range_per="channel", range_rule=f"percentile:{percent}")
    expected = np.array([percent, 10 * percent, 0])
    assert (amplitude(artifact) >= expected).all()
    assert (amplitude(artifact) <= expected + np.array([100, 1000, 0]) / BINS).all()
    whole, _ = compiled("Relu(x)", HUNDRED[:, :1].repeat(3, axis=1), range_rule=f"percentile:{percent}")
    assert percent <= amplitude(whole) <= percent + 100 / BINS


@pytest.mark.parametrize(
    ("schedule", "reach", "shortfall"),
    [("constant:size=0.125", 3, 3), ("constant:size=0.25", 6, 0), ("geometric", 9, 0), ("geometric:reach=0.5", 3, 3)],
)
def test_reach_is_the_sum_of_the_schedule_and_shortfall_what_lies_beyond(schedule, reach, shortfall):
    artifact, row = compiled("Relu(x)", schedule=schedule)
    assert (row["reach"], row["shortfall"]) == pytest.approx((reach, shortfall), abs=1e-5)
    assert row["saturates"] is (shortfall > 0)
    assert artifact.warnings == ([SATURATES] if shortfall else [])


@pytest.mark.parametrize("call", ["Relu(x)", "Clip(x, low, high)"])
@pytest.mark.parametrize(
    ("schedule", "covers"), [("geometric", True), ("constant:size=0.22", True), ("constant:size=0.2", False)]
)
def test_what_a_fit_cuts_off_is_no_saturation_where_it_could_have_covered_it(schedule, covers, call):
    """Amplitudes go up to 1.15 times the range, and four steps of 0.22 to 0.88 of the amplitude."""
    artifact, row = compiled(call, HUNDRED, schedule=schedule, range_rule="fit", range_per="channel")
    assert row["error"] is not None and row["saturates"] is not covers
    assert artifact.warnings == ([] if covers else [SATURATES])


def test_a_fit_that_does_not_scale_a_neuron_weighs_nothing():
    _, row = compiled("Clip(x, low, high)", ranges="relu", range_rule="fit")
    assert row["amplitude"] == [1, 1] and row["error"] is not None and row["saturates"]


def test_the_channel_that_falls_short_the_most_counts():
    """Half of each column is the amplitude, three quarters are in reach: of 6, 2 and 0."""
    data = np.float32([[3, 1, 0], [6, 2, 0]])
    _, row = compiled("Relu(x)", data, range_per="channel", range_rule="percentile:50")
    bin_ = 1.5 * 6 / BINS + 1e-6  # and what the float32 table rounds
    assert row["shortfall"] == pytest.approx(6 - 1.5 * 3, abs=bin_)
    assert row["reach"] == pytest.approx(4.5, abs=bin_) and row["saturates"]


def test_the_reach_of_integrate_and_fire_is_its_amplitude():
    _, row = compiled("Relu(x)", dynamics="subgradient")
    assert (row["reach"], row["shortfall"], row["saturates"]) == (6, 0, False)
    _, row = compiled("Relu(x)", HUNDRED[:, :1].repeat(3, axis=1), dynamics="subgradient", range_rule="percentile:50")
    assert (row["reach"], row["shortfall"]) == pytest.approx((50, 50), abs=100 / BINS) and row["saturates"]


def test_ranges_of_relu_only_leave_the_others_at_one():
    artifact, row = compiled("Relu(x)", ranges="relu")
    assert row["amplitude"] == [6, 6]
    artifact, row = compiled("Clip(x, low, high)", ranges="relu", range_per="channel", range_rule="percentile:50")
    np.testing.assert_array_equal(amplitude(artifact), np.ones(3))
    assert row["range"] == [-5, 5] and row["saturates"]
    assert (row["reach"], row["shortfall"]) == pytest.approx((1.5, 3.5), rel=1e-6)


def test_graded_events_have_no_amplitude_and_stop_short_by_the_product_of_what_is_left():
    text = "g (float[N, 3] x) => (float[N, 2] y, float[N, 2] z) { h = Relu(x) y = MatMul(h, w) z = MatMul(x, w) }"
    artifact = spikec.compile(parse(text, **CONSTANTS), calibration=DATA, steps=4, preset="paper")
    encoder = artifact.manifest["neurons"][0]
    assert (encoder["name"], encoder["coding"], encoder["range"]) == ("x/encoder", "float", [-6, 6])
    assert (encoder["amplitude"], encoder["reach"], encoder["shortfall"]) == ([1, 1], None, 0)
    arrived = (1 - np.prod(1 - np.array(encoder["eta"]))) * DATA.astype(np.float64)
    found = Session(artifact.model, precision="float64").run(DATA).final["z"]
    np.testing.assert_allclose(found, arrived @ CONSTANTS["w"], rtol=1e-9)


@pytest.mark.parametrize(
    ("shape", "nodes", "expected"),
    [
        ("N, 2, 3, 3", "a = Conv(x, k) [act] h = Tanh(a)", (4, 1, 1)),
        ("N, 3, 5", "a = MatMul(x, v) [act] h = Tanh(a)", (2,)),
        ("N, 3, 5", "a = MatMul(x, v) b = Add(a, a) [act] h = Tanh(b)", (2,)),
        ("N, 7, 3, 3", "[act] h = Tanh(x)", (7, 1, 1)),
        ("N, 7, 5", "[act] h = Softmax(x)", (5,)),
        ("N, C, 3, 3", "[act] h = Tanh(x)", ()),  # channels that the model leaves open
    ],
)
def test_which_axis_counts_the_channels(shape, nodes, expected):
    text = f'g (float[{shape}] x) => (float[] y) {{ {nodes} y = Einsum<equation = "...,->...">(h, high) }}'
    x = normal(6, *(2 if size == "C" else int(size) for size in shape.split(", ")[1:]))
    artifact = spikec.compile(parse(text, **CONSTANTS), calibration=x, steps=2, range_per="channel")
    assert amplitude(artifact).shape == expected


@settings(max_examples=25, deadline=None)
@given(
    data=arrays.arrays(np.float32, (40, 3), elements=st.floats(-4, 4, width=32)),
    initial=st.sampled_from(["zero", "mean"]),
)
def test_every_value_of_the_data_is_within_the_amplitude_and_one_is_at_its_end(data, initial):
    artifact, row = compiled("Clip(x, low, high)", data, range_per="channel", initial=initial)
    start = initializer(artifact.levels.neurons, "act/initial")
    distance = np.abs(data - start).max(axis=0)
    np.testing.assert_allclose(amplitude(artifact), distance, rtol=1e-5, atol=1e-6)
    _, other = compiled("Clip(x, low, high)", data[::-1].copy(), initial=initial)
    assert not row["saturates"] and not other["saturates"]
    assert other["range"] == row["range"] == [data.min(), data.max()]
