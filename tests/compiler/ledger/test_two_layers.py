"""A network of two layers, every number of the ledger worked out by hand.

Conv of a 2 x 2 kernel on a 3 x 3 image: 4 outputs of 4 products, 16 MACs. Relu: 4 neurons. Gemm to 3 outputs: 12 MACs,
so that each event of a Relu meets 3 weights. An image value meets as many weights as windows hold it: 16 in all.
"""

import numpy as np
import pytest

import spikec
from spikec.ledger import Work, ledger
from spikec.runtime import Session
from tests.models.graphs import normal, parse

TEXT = """g (float[N, 1, 3, 3] x) => (float[N, 3] y) {
    [conv] a = Conv(x, k) [act] b = Relu(a) [flat] c = Flatten(b) [head] y = Gemm(c, w) }"""
NETWORK = parse(TEXT, k=normal(1, 1, 2, 2), w=normal(4, 3))
X = normal(6, 1, 3, 3, seed=1)
STEPS = 5


def counted(**chosen):
    """The ledger and, by neuron, the events of each sample and step (N, T) as the runtime streams them."""
    artifact = spikec.compile(NETWORK, calibration=X, steps=STEPS, **chosen)
    steps = list(Session(artifact.model).stream(X))
    sent = {
        name: np.array([np.abs(step.spikes[name]).reshape(len(X), -1) for step in steps]) for name in steps[0].spikes
    }
    return ledger(artifact, X), sent


def by_name(entries):
    return {entry.name: entry for entry in entries}


def test_binary_neurons_send_at_every_step():
    found, _ = counted(dead_zone=0.0)
    layers = by_name(found.layers)
    assert layers["conv"].ann == layers["conv"].snn == Work(macs=16, fetches=16)
    assert (layers["conv"].kind, layers["head"].kind) == ("input", "weights")
    assert layers["head"].ann == Work(macs=12, fetches=12)
    assert layers["head"].events == Work(accumulates=4 * STEPS * 3, fetches=4 * STEPS * 3)
    assert layers["head"].fixed == Work(multiplies=3 * STEPS)  # eta(t), once for each output and step
    (neuron,) = found.neurons
    assert (neuron.neurons, neuron.sent, neuron.rate, neuron.evaluations) == (4, 4 * STEPS, 1, 1)
    assert neuron.ann == Work(adds=4, reads=4, writes=4)
    # f once; at each step v - f, its comparison and v + d for 4 neurons, eta * amplitude for the one channel
    dynamics = Work(adds=12 * STEPS, multiplies=STEPS)
    assert neuron.f == Work(adds=4)
    assert neuron.fixed == neuron.f + dynamics + Work(reads=(4 + 4) * STEPS, writes=4 * STEPS)
    (total,) = found.rest  # y: 3 sums
    assert total.fixed == Work(adds=3 * STEPS, reads=3 * STEPS, writes=3 * STEPS)
    assert found.ann == Work(macs=28, adds=4, fetches=28, reads=4, writes=4)
    assert found.snn == Work(
        macs=16, accumulates=60, adds=4 + 60 + 15, multiplies=15 + 5, fetches=76, reads=40 + 15, writes=20 + 15
    )
    energy = found.energy()
    assert energy.ann == pytest.approx((28 * 4.6 + 4 * 0.9) * 1e-12)
    assert energy.snn == pytest.approx((16 * 4.6 + (60 + 79) * 0.9 + 20 * 3.7) * 1e-12)


def test_ternary_neurons_send_what_the_runtime_streams():
    found, sent = counted()
    head = by_name(found.layers)["head"]
    events = sent["act"].sum() / len(X)
    assert 0 < events < 4 * STEPS
    assert head.arrivals == pytest.approx(events)
    assert head.events.accumulates == pytest.approx(3 * events)
    assert head.merged == pytest.approx(3 * events)  # one producer: nothing to merge
    assert found.rate == pytest.approx(events / (4 * STEPS))


@pytest.mark.parametrize("chosen", [{}, {"dead_zone": 0.0}], ids=["ternary", "binary"])
def test_an_input_that_is_sent_as_spikes_meets_the_weights_of_its_windows(chosen):
    found, sent = counted(coding="spike", **chosen)
    conv = by_name(found.layers)["conv"]
    windows = np.array([1, 2, 1, 2, 4, 2, 1, 2, 1])  # that hold each value of the image
    encoder = next(neuron for neuron in found.neurons if neuron.kind == "encoder")
    expected = (sent[encoder.name] * windows).sum() / len(X)
    assert conv.kind == "weights" and conv.spiking
    assert conv.events.accumulates == pytest.approx(expected)
    assert conv.snn.macs == 0
    if chosen:
        assert expected == 16 * STEPS
    assert conv.ann == Work(macs=16, fetches=16)
    assert encoder.ann == Work()  # the trained network has none
    act = by_name(found.neurons)["act"]
    assert act.evaluations == STEPS and act.f == Work(adds=4 * STEPS)


def test_graded_events_are_multiplied():
    found, _ = counted(coding="float")
    layers = by_name(found.layers)
    assert not layers["conv"].spiking and layers["head"].spiking
    assert layers["conv"].events == Work()
    assert layers["conv"].fixed == Work(macs=16 * STEPS, fetches=16 * STEPS)  # no event of a normal number is 0
    assert layers["conv"].arrivals == 9 * STEPS


def test_fewer_steps_are_a_part_of_more():
    artifact = spikec.compile(NETWORK, calibration=X, steps=STEPS, dead_zone=0.0)
    short, long = ledger(artifact, X, steps=2), ledger(artifact, {"x": X})
    assert (short.steps, long.steps, short.bits, long.bits) == (2, 5, 2, 3)
    assert short.events * (5 / 2) == long.events
    assert short.ann == long.ann


def test_integrate_and_fire_counts_what_the_runtime_streams():
    found, sent = counted(dynamics="subgradient")
    assert by_name(found.layers)["head"].events.accumulates == pytest.approx(3 * sent["act"].sum() / len(X))


def test_a_constant_step_size_is_part_of_the_weights():
    found, _ = counted(schedule="constant:size=0.3", dead_zone=0.0)
    assert by_name(found.layers)["head"].fixed == Work()
