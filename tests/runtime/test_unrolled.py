"""All steps in one graph: the same numbers as step by step, from no more of the graph than is asked for."""

import functools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from spikec.runtime.counting import Counter
from spikec.runtime.result import SpikeCount, Step
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.unrolled import Unrolled
from tests.models.forms import STEPS
from tests.models.networks import network
from tests.runtime.engines import Recording, parts_of

# neurons before neurons, held tensors, readouts of states and inputs, several inputs and outputs
NAMES = (
    "mlp",
    "deep",
    "residual",
    "neuron at the input",
    "gate by what is constant in time",
    "readout of the input",
    "an output passes the input",
    "an inner sum is an output",
    "logits and softmax",
    "two inputs",
    "attention",
    "max pool",
)


def unrolled(name: str) -> tuple[Unrolled, Recording]:
    engine = Recording(parts_of(name, "unrolled"))
    return Unrolled(parts_of(name, "unrolled"), engine), engine


@functools.cache
def reference(name: str) -> list[Step]:
    """The same network in form loop, step by step."""
    return list(Stepwise(parts_of(name), Recording(parts_of(name))).stream(network(name).feeds(4), STEPS))


def count(name: str, asked: list[int], samples: int = 4) -> dict[str, SpikeCount]:
    counter = Counter(parts_of(name, "unrolled").manifest.neurons)
    unrolled(name)[0].run(network(name).feeds(4), asked, counter, samples)
    return counter.counts()


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_that_of_the_loop(name):
    steps = list(unrolled(name)[0].stream(network(name).feeds(4), STEPS))
    for step, expected in zip(steps, reference(name), strict=True):
        assert step.t == expected.t
        assert step.outputs.keys() == expected.outputs.keys() and step.spikes.keys() == expected.spikes.keys()
        for output, value in expected.outputs.items():
            np.testing.assert_allclose(step.outputs[output], value, rtol=1e-10, atol=1e-12)
        for neuron, spikes in expected.spikes.items():
            assert step.spikes[neuron].dtype == np.int8
            np.testing.assert_array_equal(step.spikes[neuron], spikes)


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    asked=st.sets(st.integers(1, STEPS), min_size=1).map(sorted),
    samples=st.integers(1, 4),
)
def test_the_graph_counts_what_was_sent_up_to_the_last_asked_step(name, asked, samples):
    counts = count(name, asked, samples)
    assert counts.keys() == reference(name)[0].spikes.keys()
    for neuron, found in counts.items():
        sent = np.stack([step.spikes[neuron][:samples] for step in reference(name)[: asked[-1]]])
        np.testing.assert_array_equal(found.per_neuron, np.abs(sent).sum(axis=(0, 1)))
        assert (found.total, found.slots) == (np.abs(sent).sum(), sent.size)


def test_only_states_that_the_readout_takes_are_asked_for():
    program, engine = unrolled("deep")
    program.run(network("deep").feeds(2), [2, 4], None, 2)
    readout, whole = engine.made
    assert whole == ("y/y/estimate_next@1", "y/y/estimate_next@3")
    assert engine.evaluated == [whole, readout, readout], "one pass for all steps"
    assert len(parts_of("deep", "unrolled").manifest.states) > 1


def test_graphs_are_kept_for_each_choice_of_steps():
    program, engine = unrolled("deep")
    neurons = parts_of("deep", "unrolled").manifest.neurons
    for asked in ([2], [5], [2], [5]):
        program.run(network("deep").feeds(2), asked, None, 2)
        program.run(network("deep").feeds(2), asked, Counter(neurons), 2)
    assert len(engine.made) == len(set(engine.made)) == 1 + 2 * 2
