"""Elements drawn from a tensor: which they are, whom they stand for, and that their course is their own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.calibration import sampling
from spikec.calibration.sampling import FEWEST, LARGEST, by_channel, draw

STEPS = 3


def courses(shapes, seed=0, steps=STEPS):
    """Of tensors whose elements all differ, so that a value tells its element: at step t it is 10*t more."""
    generator = np.random.default_rng(seed)
    ann = [torch.from_numpy(generator.standard_normal(shape)) for shape in shapes]
    return [[value, *(value + 10 * (t + 1) for t in range(steps))] for value in ann]


def rows(batches, axis):
    return torch.cat([by_channel(batch[0], axis) for batch in batches], 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.sampled_from([None, 1, 2, 3]), st.integers(0, STEPS))
def test_a_small_tensor_is_taken_whole(samples, axis, steps):
    batches = courses([(count, 3, 2, 4) for count in samples], steps=steps)
    found = draw(batches, axis)
    np.testing.assert_array_equal(found.target, rows(batches, axis))
    assert len(found.course) == max(1, steps), "where time changes nothing the ANN's value is the course"
    for t, value in enumerate(found.course):
        np.testing.assert_array_equal(value, found.target + (10 * (t + 1) if steps else 0))
    assert (found.weight == 1).all()


@pytest.mark.parametrize("axis", [None, 1, 3])
@pytest.mark.parametrize("samples", [[9], [9, 9, 2]])
def test_of_a_large_one_the_largest_elements_and_others_that_stand_for_the_rest(monkeypatch, samples, axis):
    monkeypatch.setattr(sampling, "ELEMENTS", 1)
    batches = courses([(count, 5, 40, 4) for count in samples])
    found = draw(batches, axis)
    everything, channels = rows(batches, axis), 1 if axis is None else batches[0][0].shape[axis]
    assert found.target.shape == (channels, FEWEST * len(samples)) == found.weight.shape
    np.testing.assert_allclose(found.weight.sum(1), np.full(channels, everything.shape[1]), rtol=1e-5)
    for channel, (drawn, values) in enumerate(zip(found.target, everything, strict=True)):
        assert set(drawn.tolist()) <= set(values.tolist())
        largest = by_channel(batches[0][0], axis)[channel].abs().sort(descending=True).values[: FEWEST // LARGEST]
        assert set(largest.tolist()) <= set(drawn.abs().tolist()), "of each batch and channel"
    for t, value in enumerate(found.course):
        np.testing.assert_allclose(value, found.target + 10 * (t + 1), rtol=1e-12)


def test_sums_over_a_sample_are_those_over_the_tensor():
    batches = courses([(64, 4, 32, 32)])
    everything, found = rows(batches, 1), draw(batches, 1)
    assert found.target.shape[1] < everything.shape[1] / 3
    estimate = (found.target.abs() * found.weight).sum(1) / found.weight.sum(1)
    np.testing.assert_allclose(estimate, everything.abs().mean(1), rtol=0.03)
    again = draw(batches, 1)
    assert torch.equal(again.target, found.target), "the same data gives the same artifact"
