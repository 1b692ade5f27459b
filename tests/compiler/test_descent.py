"""Neurons in the value domain, element by element, against plain loops over numbers."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.calibration.descent import descend, follow

# dyadic numbers: all sums and products are exact, so that ties and borders of dead zones are drawn, and met exactly
SIXTEENTHS = st.integers(-48, 48).map(lambda n: n / 16)
SIZES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
ETAS = st.lists(st.sampled_from([1.0, 0.5, 0.25, 0.125]), min_size=1, max_size=6)
THETAS = st.sampled_from([0.0, 0.25, 0.5, 0.75])


def one_neuron(f, v, a, eta, theta):
    """v after each step, by the equation: sign(0) = +1, silent at the border of the dead zone; theta 0 is binary."""
    found = []
    for target, size, zone in zip(f, [step * a for step in eta], theta, strict=True):
        error = v - target
        silent = zone > 0 and abs(error) <= zone * size
        v = v if silent else v - size if error >= 0 else v + size
        found.append(v)
    return found


@st.composite
def neurons(draw):
    """f over time for 3 samples of 2 channels, v(0) and a of each channel, eta(t), theta(t)."""
    eta = draw(ETAS)
    steps = len(eta) if draw(st.booleans()) else 1  # or f does not change
    f = np.array([[[draw(SIXTEENTHS) for _ in range(3)] for _ in range(2)] for _ in range(steps)])
    initial, amplitude = (np.array([draw(values), draw(values)]) for values in (SIXTEENTHS, SIZES))
    same = draw(THETAS)
    theta = draw(st.just([same] * len(eta)) | st.lists(THETAS, min_size=len(eta), max_size=len(eta)))
    return f, initial, amplitude, eta, theta


@settings(max_examples=150, deadline=None)
@given(neurons(), st.sampled_from([torch.float32, torch.float64]))
def test_descent_is_that_of_each_element_alone(case, dtype):
    f, initial, amplitude, eta, theta = case
    course = [torch.tensor(value, dtype=dtype) for value in f]
    column = [torch.tensor(value, dtype=dtype)[:, None] for value in (initial, amplitude)]
    found = torch.stack(list(descend(course, *column, torch.tensor(eta), torch.tensor(theta)))).numpy()
    assert found.shape == (len(eta), 2, 3)
    for channel, sample in np.ndindex(2, 3):
        targets = [f[min(t, len(f) - 1), channel, sample] for t in range(len(eta))]
        expected = one_neuron(targets, initial[channel], amplitude[channel], eta, theta)
        np.testing.assert_array_equal(found[:, channel, sample], expected)


@settings(max_examples=60, deadline=None)
@given(neurons(), st.lists(SIZES, min_size=1, max_size=3))
def test_several_amplitudes_are_followed_at_once(case, candidates):
    """As a fit does it: amplitudes (candidates, channels, 1) against one course of (channels, elements)."""
    f, initial, _, eta, theta = case
    course, tables = [torch.tensor(value) for value in f], (torch.tensor(eta), torch.tensor(theta))
    start, many = torch.tensor(initial)[:, None], torch.tensor(candidates, dtype=torch.float64)
    *_, together = descend(course, start, many[:, None, None].expand(-1, 2, 1), *tables)
    for candidate, amplitude in zip(together, many, strict=True):
        *_, alone = descend(course, start, amplitude, *tables)
        np.testing.assert_array_equal(candidate.numpy(), alone.numpy())


@settings(max_examples=100, deadline=None)
@given(neurons())
def test_a_float_encoder_closes_a_share_of_the_distance_at_each_step(case):
    f, _, _, eta, _ = case
    found = list(follow([torch.tensor(value) for value in f], torch.tensor(eta, dtype=torch.float64)))
    assert len(found) == len(eta)
    v = np.zeros(f.shape[1:])
    for t, (step, after) in enumerate(zip(eta, found, strict=True)):
        v = (1 - step) * v + step * f[min(t, len(f) - 1)]
        np.testing.assert_allclose(after.numpy(), v, atol=1e-12)
