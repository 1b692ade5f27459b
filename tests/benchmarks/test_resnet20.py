"""The benchmark's own parts, on a network of two layers; what needs the data folder skips without it."""

import json

import numpy as np
import pytest

from benchmarks import resnet20
from benchmarks.datasets import VARIABLE, Images, cifar10, data_folder
from benchmarks.measurement import TIMES, Configuration, Subject, measure
from benchmarks.report import Results
from benchmarks.torch_resnet20 import from_onnx
from spikec.errors import EnvironmentMissing, ModelError, UsageError
from tests.models.tiny import mlp, samples, save

SUBGRADIENT = Configuration("if", "integrate-and-fire", chosen={"dynamics": "subgradient"}, one_run=True)


@pytest.fixture
def subject(tmp_path):
    """The two-layer network with its own answers as labels."""
    test = samples(20)["x"]
    unlabelled = Subject.of(
        save(mlp(), tmp_path / "mlp.onnx"), Images(samples(16, seed=1)["x"], test, np.zeros(20, int))
    )
    answers = unlabelled.logits.argmax(axis=1)
    return Subject(unlabelled.path, Images(unlabelled.images.calibration, test, answers), unlabelled.logits)


@pytest.fixture
def real():
    try:
        return data_folder()
    except EnvironmentMissing as error:
        pytest.skip(str(error))


def test_a_configuration_is_measured_at_every_number_of_steps(subject):
    told = []
    row = measure(Configuration("default", "as it is"), subject, lambda done, total: told.append((done, total)))
    assert list(row.points) == list(TIMES)
    assert row.points[64].accuracy == row.points[64].agreement > 0.9
    assert row.points[64].distance < row.points[8].distance
    assert all(point.rate is not None for point in row.points.values())
    assert told[-1] == (20 * sum(TIMES), 20 * sum(TIMES))
    assert sorted(told) == told


def test_one_run_serves_all_numbers_of_steps(subject):
    told = []
    row = measure(SUBGRADIENT, subject, lambda done, total: told.append((done, total)))
    assert told[-1] == (20 * 64, 20 * 64)
    assert [point.rate is None for point in row.points.values()] == [True, True, True, False]
    assert row.settings["dynamics"] == "subgradient"


def test_rows_of_an_older_file_are_kept(subject, tmp_path):
    row = measure(SUBGRADIENT, subject, lambda done, total: None)
    Results("Title", {"test images": 20, "figure": 0.5}, {"b": row}).save(tmp_path / "r.md", ["a", "b"], "the command")
    newer = Results("Title", {"test images": 20, "figure": 0.6})
    newer.keep_from(tmp_path / "r.json")
    assert newer.rows["b"] == row
    newer.rows["a"] = row
    newer.save(tmp_path / "r.md", ["a", "b"], "the command")
    text = (tmp_path / "r.md").read_text()
    assert "`the command`" in text
    assert text.index("| a |") < text.index("| b |")
    assert list(json.loads((tmp_path / "r.json").read_text())["rows"]) == ["a", "b"]


def test_rows_of_other_images_are_refused(tmp_path):
    Results("Title", {"test images": 20}).save(tmp_path / "r.md", [], "")
    with pytest.raises(UsageError, match="test images 20 instead of 30"):
        Results("Title", {"test images": 30}).keep_from(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(UsageError, match="no results file"):
        Results("Title", {}).keep_from(tmp_path / "r.json")


def test_the_command_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert resnet20.main([]) == EnvironmentMissing.exit_code
    assert "no data folder" in capsys.readouterr().err
    assert resnet20.main(["--data", str(tmp_path)]) == EnvironmentMissing.exit_code
    assert "has no cifar10_resnet20.onnx" in capsys.readouterr().err
    assert resnet20.main(["--only", "nothing"]) == UsageError.exit_code
    assert "choose among default, paper" in capsys.readouterr().err


def test_other_networks_are_no_resnet20(tmp_path):
    with pytest.raises(ModelError, match="not this ResNet-20"):
        from_onnx(save(mlp(), tmp_path / "mlp.onnx"), samples()["x"])


def test_images_are_normalised_and_the_torch_module_equals_the_file(real):
    images = cifar10(real, images=4)
    assert images.calibration.shape == (256, 3, 32, 32)
    assert images.test.dtype == np.float32
    assert np.abs(images.calibration.mean()) < 0.3
    from_onnx(real / "cifar10_resnet20.onnx", images.test)
    with pytest.raises(UsageError, match="1 to 2000"):
        cifar10(real, images=2001)
