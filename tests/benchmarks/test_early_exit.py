"""Early exit measured on a small network with known answers; ResNet-20 only where the data folder is."""

import json

import numpy as np
import pytest
from rich.progress import Progress

import spikec
from benchmarks import early_exit
from benchmarks.accuracy.subject import Subject
from benchmarks.datasets import Images, data_folder
from spikec.errors import EnvironmentMissing
from spikec.runtime import Session
from tests.models.graphs import normal
from tests.models.networks import network


@pytest.fixture
def subject():
    test = normal(50, 6, seed=1)
    return Subject.of(network("mlp").model, Images(normal(64, 6), test, np.arange(50) % 4))


def test_rows_of_all_rules(subject):
    session = Session(spikec.compile(subject.model, calibration={"x": subject.images.calibration}, steps=10).model)
    rows = early_exit.measure(session, subject, ("stability:2", "certified"), Progress(disable=True))
    assert list(rows) == ["all steps", "stability:2", "certified"]
    full, stable, certified = rows.values()
    classes = session.run(subject.images.test).final["y"].argmax(axis=1)
    assert (full.mean, full.most, full.agreement) == (10, 10, 1)
    assert full.accuracy == certified.accuracy == np.mean(classes == subject.images.labels)
    assert certified.agreement == 1
    assert 3 <= stable.mean < certified.mean < 10
    assert stable.agreement > 0.5


def test_the_report_has_a_line_a_rule():
    rows = {"all steps": early_exit.Row(32, 32, 0.9, 1, 5), "margin:4": early_exit.Row(7.125, 30, 0.85, 0.875, 2)}
    text = early_exit.markdown({"command": "the command", "network": "N"}, rows)
    assert "| margin:4 | 7.12 | 30 | 0.850 | 0.875 | 2 |" in text
    assert "Made by `the command`" in text
    assert "- network: N" in text


def test_without_data_the_command_says_so(tmp_path, capsys):
    assert early_exit.main(["--data", str(tmp_path / "none")]) == EnvironmentMissing.exit_code
    assert "there is no data folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_on_a_few_images(tmp_path):
    try:
        data_folder()
    except EnvironmentMissing as error:
        pytest.skip(str(error))
    few = ["--images", "4", "--steps", "6", "--rule", "certified", "--output", str(tmp_path / "e.md")]
    assert early_exit.main(few) == 0
    row = json.loads((tmp_path / "e.json").read_text())["rows"]["certified"]
    assert row["agreement"] == 1
    assert row["mean"] <= 6
    assert "--images 4 --steps 6 --rule certified" in (tmp_path / "e.md").read_text()
