"""Networks as torch modules: equal to their ONNX models, or refused. What needs the data folder skips without it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.accuracy.networks import CACHE, NETWORKS, Source
from benchmarks.accuracy.torch_mobilenet import mobilenet
from benchmarks.accuracy.torch_resnet20 import resnet20
from benchmarks.accuracy.torch_vit import vit
from benchmarks.accuracy.torch_weights import verified
from benchmarks.datasets import cifar10, data_folder, photos
from spikec.errors import CheckFailed, EnvironmentMissing, ModelError, UsageError
from tests.models.graphs import normal, parse
from tests.models.tiny import cnn, images, mlp

FEW = Source(None, CACHE, 2, lambda done, total: None)
CHAIN = """g (float[N, 3, 7, 8] x) => (float[N, 5] y) {
    a = Conv<pads = [0, 0, 1, 1], strides = [2, 2]>(x, k1, c1)  b = Clip(a, low, high)
    c = Conv<pads = [1, 1, 1, 1], strides = [1, 1], group = 4>(b, k2, c1)  d = Clip(c, low, high)
    e = GlobalAveragePool(d)  f = Conv<pads = [0, 0, 0, 0], strides = [1, 1]>(e, k3, c3)
    h = Flatten(f)  y = Identity(h)
}"""


def chain(high=6.0):
    kernels = {"k1": normal(4, 3, 3, 3), "k2": 5 * normal(4, 1, 3, 3), "k3": normal(5, 4, 1, 1)}
    limits = {"low": np.array([0], np.float32), "high": np.array([high], np.float32)}
    return parse(CHAIN, **kernels, **limits, c1=normal(4), c3=normal(5))


@pytest.fixture
def real():
    try:
        return data_folder()
    except EnvironmentMissing as error:
        pytest.skip(str(error))


def test_a_chain_of_convolutions_equals_its_model():
    verified(mobilenet(chain()), chain(), normal(3, 3, 7, 8))


def test_a_module_that_differs_is_refused():
    network = mobilenet(chain())
    network[0].bias.data += 0.01
    with pytest.raises(CheckFailed, match="differs from its ONNX model by"):
        verified(network, chain(), normal(3, 3, 7, 8))


@pytest.mark.parametrize("make", [resnet20, vit, mobilenet])
def test_other_networks_are_refused(make):
    for model in (mlp(), cnn()):
        with pytest.raises(ModelError, match="the ONNX file is not this"):
            make(model)
    with pytest.raises(ModelError, match="clips elsewhere"):
        mobilenet(chain(high=5.0))


def test_a_network_that_is_there_as_onnx_only_says_so():
    from benchmarks.accuracy.subject import Subject
    from benchmarks.datasets import Images

    x = images()["image"]
    with pytest.raises(ModelError, match="there as ONNX only"):
        Subject.of(cnn(), Images(x, x, np.zeros(8, int))).module()


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("name", ["resnet20", "vit", "mobilenet"])
def test_the_torch_modules_equal_the_files(name):
    subject = next(network for network in NETWORKS if network.name == name).load(FEW)
    assert isinstance(subject.module(), torch.nn.Module)  # verified on calibration images as it is made
    assert subject.logits.shape[0] == len(subject.images.labels) == 2


def test_images_are_scaled_as_the_networks_were_trained(real):
    found = cifar10(real, images=4)
    assert found.calibration.shape == (256, 3, 32, 32)
    assert found.test.dtype == np.float32
    assert np.abs(found.calibration.mean()) < 0.3
    with pytest.raises(UsageError, match="1 to 2000"):
        cifar10(real, images=2001)
    found = photos(real, 3)
    assert (found.calibration.shape, found.test.shape) == ((100, 3, 128, 128), (3, 3, 128, 128))
    assert -1 <= found.test.min() < found.test.max() <= 127 / 128
    assert found.test.dtype == np.float32


def test_a_network_is_trained_once(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    from benchmarks.accuracy import digits

    few = digits.digits_networks.load().head(64, 32, 10)
    monkeypatch.setattr(digits.digits_networks, "load", lambda: few)
    monkeypatch.setattr(digits, "RECIPES", tuple(replace(recipe, epochs=1) for recipe in digits.RECIPES))
    told = []
    subjects = [digits.trained("mixer", tmp_path, 5, lambda done, total: told.append(done)) for _ in range(2)]
    assert told == [1]  # one epoch of one batch, once
    assert subjects[0].digest == subjects[1].digest
    assert subjects[0].logits.shape == (5, 10)
    for subject in subjects:
        subject.module()
