"""Step sizes: the numbers of each schedule, and what holds for every table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.errors import UsageError
from spikec.schedules import REACH, fitted_ratio, fitted_stagger, make_schedule, reach

STEPS = st.integers(1, 300)
DEPTHS = st.floats(0, 1)

# four steps each
VALUES = {
    "exponential": [0.15, 0.1425, 0.135375, 0.12860625],
    "exponential:start=0.5,decay=0.5": [0.5, 0.25, 0.125, 0.0625],
    "exponential:decay=2": [0.15, 0.3, 0.6, 1.2],
    "inverse": [1, 1 / 2, 1 / 3, 1 / 4],
    "inverse:scale=0.6": [0.6, 0.3, 0.2, 0.15],
    "constant": [0.25, 0.25, 0.25, 0.25],
    "constant:size=0.3": [0.3, 0.3, 0.3, 0.3],
    "geometric:ratio=0.5": [0.8, 0.4, 0.2, 0.1],
    "geometric:reach=3,ratio=1": [0.75, 0.75, 0.75, 0.75],
}
# ratio 1/2, stagger 2, and as reach the sum of the weights, so that the first step is 1
STAGGERED = {
    0.0: [1, 1 / 2, 1 / 4, 1 / 8],
    0.25: [1, 2**-0.5, 2**-1.5, 2**-2.5],
    0.5: [1, 1, 1 / 2, 1 / 4],
    1.0: [1, 1, 1, 1 / 2],
}


@pytest.mark.parametrize("spec", VALUES)
def test_values(spec):
    table = make_schedule(spec, 4)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, VALUES[spec], rtol=1e-6)
    assert reach(table) == pytest.approx(sum(VALUES[spec]), rel=1e-6)


@pytest.mark.parametrize("depth", STAGGERED)
def test_a_deeper_neuron_decays_later(depth):
    table = make_schedule(f"geometric:reach={sum(STAGGERED[depth])},ratio=0.5,stagger=2", 4, depth)
    np.testing.assert_allclose(table, STAGGERED[depth], rtol=1e-6)


@pytest.mark.parametrize("spec", ["exponential", "inverse", "constant", "geometric:stagger=0"])
def test_only_the_geometric_schedule_is_staggered(spec):
    np.testing.assert_array_equal(make_schedule(spec, 9, 0.7), make_schedule(spec, 9))


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("geometric:", "geometric"),
        ("exponential:decay=0.9,start=0.3", "exponential:start=0.3,decay=0.9"),
        ("constant:size=0.125", "constant"),
        (f"geometric:ratio={fitted_ratio(8)!r},stagger={fitted_stagger(8)!r}", "geometric"),
    ],
)
def test_ways_to_write_the_same_schedule(short, long):
    np.testing.assert_array_equal(make_schedule(short, 8, 0.4), make_schedule(long, 8, 0.4))


RATIOS = {1: 0.5, 2: 0.5, 4: 0.65, 8: 0.65, 16: 0.75, 32: 0.81, 64: 0.85}


@pytest.mark.parametrize(("steps", "ratio"), RATIOS.items())
def test_the_fitted_ratio(steps, ratio):
    assert fitted_ratio(steps) == pytest.approx(ratio, abs=0.005)
    assert fitted_ratio(steps) <= fitted_ratio(steps + 1) < 1


@pytest.mark.parametrize(("steps", "stagger"), [(1, 0), (4, 1.5), (8, 4), (16, 10), (32, 22), (64, 48)])
def test_the_fitted_stagger(steps, stagger):
    assert fitted_stagger(steps) == pytest.approx(stagger, abs=0.5)
    assert fitted_stagger(steps) < steps


@pytest.mark.parametrize("steps", [16, 64, 4096])
def test_the_deepest_neuron_ends_with_small_steps(steps):
    table = make_schedule("geometric", steps, 1.0)
    assert table[-1] < table[0] / 4


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, depth=DEPTHS, amplitudes=st.floats(0.01, 100))
def test_the_sum_of_the_geometric_schedule_is_its_reach(steps, depth, amplitudes):
    assert reach(make_schedule("geometric", steps, depth)) == pytest.approx(REACH, rel=1e-6)
    table = make_schedule(f"geometric:reach={amplitudes}", steps, depth)
    assert table.shape == (steps,)
    assert reach(table) == pytest.approx(amplitudes, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, depth=DEPTHS)
def test_steps_are_equal_until_the_stagger_and_fall_by_the_ratio_from_there(steps, depth):
    table = make_schedule("geometric", steps, depth).astype(np.float64)
    start = depth * fitted_stagger(steps)
    before, after = np.arange(steps) <= start, np.arange(steps) >= start
    np.testing.assert_allclose(table[before], table[0], rtol=1e-6)
    np.testing.assert_allclose(table[after][1:] / table[after][:-1], fitted_ratio(steps), rtol=1e-6)
    assert (table > 0).all()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, depths=st.tuples(DEPTHS, DEPTHS).map(sorted))
def test_the_deeper_of_two_neurons_has_moved_less_at_every_time(steps, depths):
    shallow, deep = (np.cumsum(make_schedule("geometric", steps, depth), dtype=np.float64) for depth in depths)
    assert (deep <= shallow * (1 + 1e-6)).all()
    last = [make_schedule("geometric", steps, depth)[-1] for depth in depths]
    assert last[0] <= last[1] * (1 + 1e-6)


def test_late_steps_may_vanish_in_float32():
    table = make_schedule("exponential:decay=0.5", 200)
    assert table[0] == np.float32(0.15) and table[-1] == 0
    assert reach(table) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("spec", "depth"),
    [
        ("exponential:decay=0", 0.0),
        ("exponential:start=-0.1", 0.0),
        ("exponential:decay=1e30", 0.0),
        ("inverse:scale=0", 0.0),
        ("constant:size=1e39", 0.0),
        ("geometric:ratio=-0.5", 0.0),
        ("geometric:reach=0", 0.0),
        ("geometric:stagger=inf", 0.0),
        ("geometric:stagger=-1e9", 1.0),  # nothing is left of the weights
    ],
)
def test_step_sizes_that_are_not_positive_numbers(spec, depth):
    with pytest.raises(UsageError) as refused:
        make_schedule(spec, 8, depth)
    assert str(refused.value) == f"schedule '{spec}' has step sizes that are not positive numbers of float32"
