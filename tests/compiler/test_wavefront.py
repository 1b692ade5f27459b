"""Schedules in which neurons wait, and tables that a user writes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from spikec.errors import UsageError
from spikec.onnx_session import run_model
from spikec.runtime import Session
from spikec.schedules import make_schedule
from tests.models.networks import network


@given(st.integers(1, 12), st.integers(1, 6), st.floats(0.3, 0.9))
def test_windows_follow_each_other_and_each_reaches_as_far(spikes, levels, ratio):
    """With as many steps as spikes times levels nobody fires before those in front are done."""
    steps = spikes * levels
    depths = [level / (levels - 1) if levels > 1 else 0.0 for level in range(levels)]
    tables = [make_schedule(f"wavefront:spikes={spikes},ratio={ratio},reach=1.25", steps, depth) for depth in depths]
    for level, table in enumerate(tables):
        fires = np.flatnonzero(table)
        assert (fires.min(), fires.max()) == (level * spikes, (level + 1) * spikes - 1)
        assert table.sum() == pytest.approx(1.25, rel=1e-5)
        np.testing.assert_allclose(table[fires][1:] / table[fires][:-1], ratio, rtol=1e-4)


def test_more_spikes_than_steps_are_as_many_as_there_are():
    np.testing.assert_array_equal(make_schedule("wavefront:spikes=9", 4), make_schedule("wavefront:spikes=4", 4))


def test_a_wavefront_brings_a_deep_network_near_the_ann_with_few_spikes_each():
    """Nobody hears of its inputs before they are done: what is left is the resolution of eight spikes."""
    case = network("mlp")
    x = case.feeds(8)
    expected = run_model(case.model, x)
    depth = len(spikec.compile(case.model, calibration=x).manifest["neurons"])
    artifact = spikec.compile(case.model, calibration=x, steps=8 * depth, schedule="wavefront:spikes=8")
    result = Session(artifact.model).run(x)
    for name, value in result.final.items():
        assert np.linalg.norm(value - expected[name]) < 0.05 * np.linalg.norm(expected[name])
    assert all(count.rate <= 1 / depth + 1e-9 for count in result.spikes.values()), "K of K * depth steps at most"


def test_a_table_is_taken_as_it_is():
    np.testing.assert_array_equal(make_schedule("table:0.5/0.25/0.25", 3, 0.7), np.float32([0.5, 0.25, 0.25]))


@pytest.mark.parametrize(
    ("spec", "steps", "reason"),
    [
        ("table:0.5/0.25", 3, "lists 2 step sizes; T is 3"),
        ("table:0.5/half", 2, "write the step sizes as numbers"),
        ("table:", 1, "write the step sizes as numbers"),
        ("table:0.5/0", 2, "not positive numbers"),
        ("table:0.5/-0.1", 2, "not positive numbers"),
        ("wavefront:ratio=-1", 4, "not positive numbers"),
        ("wavefront:reach=0", 4, "not positive numbers"),
        ("wavefront:width=2", 4, "no setting 'width'"),
    ],
)
def test_what_is_no_schedule(spec, steps, reason):
    with pytest.raises(UsageError, match=reason):
        make_schedule(spec, steps)
