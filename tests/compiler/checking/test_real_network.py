"""The gate on a real network: ResNet-20 of CIFAR-10, where the data folder is there."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import cifar10, data_folder, required
from spikec.cli.main import execute
from spikec.errors import EnvironmentMissing


@pytest.fixture(scope="module")
def data() -> Path:
    try:
        folder = data_folder()
        required(folder, "cifar10_resnet20.onnx")
    except EnvironmentMissing as error:
        pytest.skip(str(error))
    return folder


@pytest.mark.slow
def test_resnet20(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = cifar10(data, calibration=64, images=48)
    np.savez("calibration.npz", input=images.calibration)
    np.savez("test.npz", input=images.test, labels=images.labels)
    model = data / "cifar10_resnet20.onnx"
    assert execute(f"compile {model} -o snn.onnx -T 16 --calibration calibration.npz".split()) == 0
    Path("t.toml").write_text(
        "[defaults]\nmin_agreement = 0.9\nmax_accuracy_drop = 0.05\n[steps.2]\nmin_agreement = 0.9\n"
    )
    assert execute(f"check {model} snn.onnx --data test.npz --thresholds t.toml".split()) == 0
    assert execute(f"check {model} snn.onnx --data test.npz --thresholds t.toml --steps 2,16".split()) == 1
