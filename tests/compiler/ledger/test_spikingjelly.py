"""SpikingJelly's counter of synaptic operations, fed with the same spikes, beside the ledger."""

import numpy as np
import pytest
import torch
from torch import nn

import spikec
from benchmarks.accuracy.spikingjelly_package import package
from spikec.errors import EnvironmentMissing
from spikec.ledger import ledger
from spikec.runtime import Session


class Net(nn.Module):
    """Two convolutions (the first of the image, the second with a stride and a border) and a matrix."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.second = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.head = nn.Linear(8 * 5 * 5, 4, bias=False)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).flatten(1))


@pytest.fixture
def counters():
    try:
        return package("op_counter")
    except EnvironmentMissing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("chosen", [{"dynamics": "subgradient"}, {}], ids=["rate coding", "default"])
def test_synaptic_operations_agree(counters, chosen):
    net, x = Net().eval(), np.random.default_rng(0).standard_normal((4, 2, 9, 9)).astype(np.float32)
    artifact = spikec.compile(net, (torch.from_numpy(x),), calibration=x, steps=6, **chosen)
    found = ledger(artifact, x)
    ours = sum(layer.events.accumulates for layer in found.layers)
    counter = counters.SynOpCounter()
    with torch.no_grad(), counters.DispatchCounterMode([counter]):
        for step in Session(artifact.model).stream(x):
            first, second = (torch.from_numpy(np.abs(spikes)).float() for spikes in step.spikes.values())
            net.second(first), net.head(second.flatten(1))
    theirs = counter.get_total() / len(x)
    assert theirs > 1000
    assert ours == pytest.approx(theirs, rel=0.01)


def test_usual_multiply_accumulates_agree(counters):
    """They count a window's places outside of the image too; our energies do not."""
    net, x = Net().eval(), np.random.default_rng(0).standard_normal((1, 2, 9, 9)).astype(np.float32)
    found = ledger(spikec.compile(net, (torch.from_numpy(x),), calibration=x, steps=2), x)
    counter = counters.MACCounter()
    with torch.no_grad(), counters.DispatchCounterMode([counter]):
        net(torch.from_numpy(x))
    assert counter.get_total() == found.usual_macs > found.ann.macs
