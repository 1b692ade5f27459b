"""Spike counts: sums over steps and batches, without what only fills a batch up; rates; results."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from spikec.runtime import Result, Session, SpikeCount
from spikec.runtime.counting import Counter
from spikec.runtime.manifest import Neuron
from tests.models.forms import FORMS, compiled
from tests.models.networks import network

ACT, END = Neuron("act", "Relu", "unary", "act/event"), Neuron("end", "Tanh", "unary", "end/event")


def test_a_count_worked_out_by_hand():
    counter = Counter([ACT])
    counter.add("act/event", np.array([[True, False, True], [True, False, False]]), 2)
    # the second sample is none
    counter.add("act/event", np.array([[False, False, True], [True, True, True]]), 1)
    # an unrolled graph hands over sums over its steps, as floats
    counter.add("act/event", np.array([[0.0, 2.0, 3.0]], np.float32), 1, steps=4)
    count = counter.counts()["act"]
    assert count.per_neuron.dtype == np.int64 and count.per_neuron.tolist() == [2, 2, 5]
    assert (count.total, count.slots) == (9, 21)
    assert count.rate == 9 / 21 and isinstance(count.total, int)


@settings(max_examples=50, deadline=None)
@given(samples=st.integers(1, 7), steps=st.integers(1, 4), size=st.integers(1, 8), seed=st.integers(0, 99))
def test_counts_do_not_depend_on_the_batches(samples, steps, size, seed):
    """Every batch has ``size`` samples; the last is filled up with events that must not be counted."""
    fired = np.random.default_rng(seed).random((steps, samples, 2, 3)) < 0.4
    counter = Counter([ACT, END])
    for start in range(0, samples, size):
        for step in fired:
            part = step[start : start + size]
            full = np.concatenate([part, np.ones((size - len(part), 2, 3), bool)])
            counter.add("act/event", full, len(part))
    (count,) = counter.counts().values()
    np.testing.assert_array_equal(count.per_neuron, fired.sum(axis=(0, 1)))
    assert (count.total, count.slots) == (fired.sum(), fired.size)


def test_a_neuron_without_a_sample_axis_counts_once_a_step():
    counter = Counter([ACT])
    for event in (True, False, True):
        counter.add("act/event", np.array(event), 8)
    count = counter.counts()["act"]
    assert (count.per_neuron.shape, count.total, count.slots) == ((), 2, 3)


def test_counts_bear_the_names_of_the_neurons():
    counter = Counter([ACT, END])
    assert counter.counts() == {}
    counter.add("end/event", np.ones((2, 1)), 2)
    counter.add("act/event", np.zeros((2, 1)), 2)
    assert {name: count.total for name, count in counter.counts().items()} == {"act": 0, "end": 2}


def test_rates_are_weighted_by_slots():
    spikes = {"act": SpikeCount(np.array([3]), 3, 10), "end": SpikeCount(np.array([20, 10]), 30, 30)}
    result = Result({1: {}}, spikes)
    assert [count.rate for count in spikes.values()] == [0.3, 1.0]
    assert result.rate == 33 / 40


def test_nothing_counted_is_a_rate_of_zero():
    assert Result({1: {}}).rate == 0.0
    assert SpikeCount(np.zeros(0), 0, 0).rate == 0.0


def test_the_final_outputs_are_those_of_the_last_step():
    assert Result({9: {"y": np.array(9)}, 10: {"y": np.array(10)}, 2: {}}).final == {"y": 10}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_slots_are_neurons_times_samples_times_steps(backend, form):
    result = Session(compiled("dense", form).model, backend).run(network("dense").feeds(7), [2, 4], batch_size=3)
    assert [count.slots for count in result.spikes.values()] == [3 * 6 * 6 * 7 * 4] * 2
    for count in result.spikes.values():
        assert count.per_neuron.shape == (3, 6, 6)
        assert 0 < count.per_neuron.max() <= 7 * 4 and count.per_neuron.min() >= 0
