"""ResNet-20 of CIFAR-10 with few steps, where its data is."""

import pytest

import spikec
from benchmarks.datasets import cifar10, data_folder, required
from spikec.equivalence import relative_distance
from spikec.errors import EnvironmentMissing
from spikec.explaining import explain
from spikec.explaining.figures import CAUSES
from spikec.onnx_session import run_model
from spikec.runtime import Session


@pytest.mark.slow
def test_with_four_steps_its_error_is_that_of_coarse_events():
    try:
        model = str(required(data_folder(), "cifar10_resnet20.onnx"))
        images = cifar10(data_folder(), calibration=64, images=16)
    except EnvironmentMissing as error:
        pytest.skip(str(error))
    artifact = spikec.compile(model, calibration=images.calibration, steps=4)
    found = explain(model, artifact, images.test)
    assert len(found.names) == len(found.shares) == 19 and found.warnings == []
    (name,) = found.outputs
    trained = run_model(artifact.levels.models["source"], {"input": images.test})[name]
    value = Session(artifact.model).run(images.test).final[name]
    assert found.outputs[name][-1] == pytest.approx(relative_distance(value, trained), rel=1e-3)
    own, inherited = found.figures.own[:, -1], found.figures.inherited[:, -1]
    assert inherited[0] < 1e-6 and (inherited[1:] > 0.05).all() and (own > 0.05).all()
    assert (found.figures.causes.argmax(axis=1) == CAUSES.index("resolution")).all()
    assert (found.figures.saturated[:, -1] < 0.05).all()
    # their sum is no figure to hold to: it moves between 0.1 and 1.7 from one batch of 16 images to the next
    assert 0.02 < max(found.shares.values()) < 1
