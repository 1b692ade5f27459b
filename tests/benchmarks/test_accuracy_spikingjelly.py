"""SpikingJelly's rows on networks of a few layers, against our own and against what their definition says."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.accuracy import converters, rate_coding
from benchmarks.accuracy.own import CONFIGURATIONS
from benchmarks.accuracy.own import measure as measure_own
from benchmarks.accuracy.spikingjelly_package import SpikeCounts, convert, package
from benchmarks.accuracy.subject import Subject
from benchmarks.datasets import Images
from spikec.errors import EnvironmentMissing, ModelError
from spikec.frontends.torch_module import export_module
from tests.models.graphs import normal

TIMES = (2, 8, 32)
IGNORE = lambda done, total: None  # noqa: E731


@pytest.fixture(autouse=True)
def installed():
    try:
        package("ann2snn")
    except EnvironmentMissing as error:
        pytest.skip(str(error))


def subject_of(network, *shape):
    network = network.eval()
    test, calibration = normal(12, *shape), normal(70, *shape, seed=1)
    model = export_module(network, torch.from_numpy(test[:2]), "network", "torch").model
    return Subject.of(model, Images(calibration, test, np.zeros(12, int)), lambda: network)


@pytest.fixture(scope="module")
def relus():
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(1), nn.Linear(24, 5))
    return subject_of(nn.Sequential(*layers), 2, 6, 6)


@pytest.fixture(scope="module")
def mixer():
    torch.manual_seed(0)
    layers = (nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 12), nn.GELU(), nn.Linear(12, 5))
    return subject_of(nn.Sequential(*layers), 8)


def test_rate_coding_is_the_subgradient_dynamics(relus):
    ours = next(configuration for configuration in CONFIGURATIONS if configuration.name == "subgradient-max")
    mine = measure_own(ours, relus, TIMES, IGNORE)
    told = []
    found = rate_coding.measure("spikingjelly-max", relus, TIMES, lambda *done: told.append(done))
    assert told == [(12, 12)]
    for t in TIMES:  # a spike may come a step earlier where a membrane meets its threshold to the last bit
        assert found.points[t].rate == pytest.approx(mine.points[t].rate, rel=0.02)
        assert found.points[t].operations == pytest.approx(mine.points[t].operations, rel=0.02)
        assert found.points[t].distance == pytest.approx(mine.points[t].distance, rel=0.05)
    assert found.points[32].distance < found.points[8].distance


def test_the_delayed_readout_is_the_mean_of_the_steps_behind_the_delay(relus):
    found = rate_coding.measure("spikingjelly-ltb", relus, (4, 16), IGNORE)
    delay = found.settings["delays"][1]
    assert found.settings["delays"][0] == 0
    assert 0 < delay < 16
    recipe = rate_coding.recipe("spikingjelly-ltb", torch.from_numpy(relus.images.calibration))
    converted = convert(relus.module(), recipe)
    with torch.no_grad():
        outputs = [converted(torch.from_numpy(relus.images.test)).numpy() for _ in range(16)]
    late = np.mean(outputs[delay:], axis=0)
    assert found.points[16].agreement == np.mean(late.argmax(axis=1) == relus.logits.argmax(axis=1))
    norm = np.linalg.norm(late - relus.logits) / np.linalg.norm(relus.logits)
    assert found.points[16].distance == pytest.approx(norm, rel=1e-4)


def test_spatio_temporal_approximation_comes_nearer_with_more_steps(mixer):
    found = converters.measure("spikingjelly-sta", mixer, TIMES, IGNORE)
    distances = [point.distance for point in found.points.values()]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.05
    # thresholds shrink with T while what is sent does not: the spikes of all steps grow with T
    spikes = [point.rate * t for t, point in found.points.items()]
    assert spikes == sorted(spikes)
    # of 28 neurons 16 reach 12 others each, 12 reach 5
    for sent, point in zip(spikes, found.points.values(), strict=True):
        assert 5 * 28 * sent < point.operations < 12 * 28 * sent


def test_what_a_recipe_does_not_know_is_the_reason(relus, mixer):
    found = converters.measure("spikingjelly-sta", relus, TIMES, IGNORE)
    assert not found.points
    assert "does not support module node '1' of type ReLU" in found.reason
    for name in rate_coding.ROWS:
        assert "of type LayerNorm" in converters.measure(name, mixer, TIMES, IGNORE).reason
    six = subject_of(nn.Sequential(nn.Linear(8, 4), nn.ReLU6(), nn.Linear(4, 3)), 8)
    assert "of type ReLU6" in converters.measure("spikingjelly-99.9", six, TIMES, IGNORE).reason
    with pytest.raises(ModelError, match="SpikingJelly 2"):
        convert(six.module(), rate_coding.recipe("spikingjelly-max", torch.zeros(2, 8)))


def test_spikes_are_counted_layer_by_layer_and_step_by_step():
    first, second = nn.Identity(), nn.Identity()
    counts = SpikeCounts([second, first], steps=2)
    sent = [torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[1.0, 1, 1, 0]])]
    for counts.t, spikes in enumerate(sent, start=1):
        first(spikes)
        second(spikes[:, :2])
    assert counts.upto(1) == [1 / 4, 1 / 2]  # in the order in which they fire
    assert counts.upto(2) == [1, 3 / 2]
    assert counts.rate(1) == 2 / 6
    assert counts.rate(2) == 7 / 12


def test_a_reason_is_the_same_in_every_run():
    class Norm(nn.LayerNorm):  # a class of one's own is traced down to the function
        def forward(self, x):
            return nn.functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    Norm.__module__ = "elsewhere"
    recipe = rate_coding.recipe("spikingjelly-max", torch.zeros(2, 8))
    with pytest.raises(ModelError, match="does not support function node <function layer_norm>"):
        convert(nn.Sequential(nn.Linear(8, 4), Norm(4)), recipe)
