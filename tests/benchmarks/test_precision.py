"""The precision benchmark on a small network; the real ones only where the data folder is."""

import json

import numpy as np
import pytest
from rich.progress import Progress

from benchmarks import precision
from benchmarks.accuracy.networks import Network, Source
from benchmarks.accuracy.subject import Subject
from benchmarks.datasets import Images
from spikec.errors import EnvironmentMissing
from tests.models.graphs import normal
from tests.models.networks import network

SOURCE = Source(None, None, None, lambda done, total: None)
COST = precision.Cost(0.9, 0.995, 0.03512)
ROW = precision.Row(0.9, 0.905, {"bfloat16": COST, "int8": COST})


@pytest.fixture(autouse=True)
def operators_one_by_one(monkeypatch):
    """Compiling takes longer than all else here."""
    monkeypatch.setattr("spikec.runtime.evaluation.can_compile", lambda device: False)


def test_all_precisions_of_one_artifact_are_compared():
    subject = Subject.of(network("mlp").model, Images(normal(64, 6), normal(40, 6, seed=1), np.arange(40) % 4))
    row = precision.measure(Network("mlp", "MLP", lambda source: subject), SOURCE, 8, Progress(disable=True))
    assert row.ann == subject.accuracy
    assert row.lower.keys() == set(precision.LOWER)
    for cost in row.lower.values():
        assert abs(row.float32 - cost.accuracy) <= 1 - cost.agreement
        assert cost.agreement > 0.8
        assert 0 < cost.distance < 0.1


def test_the_report_has_a_line_a_network():
    text = precision.markdown({"command": "the command", "device": "CPU"}, {"N": ROW})
    assert "| N | 0.900 | 0.905 | 0.900 / 0.995 / 0.0351 | 0.900 / 0.995 / 0.0351 |" in text
    assert "Made by `the command`" in text


def test_results_are_written_and_missing_data_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(precision, "measure", lambda *args: ROW)
    assert precision.main(["--network", "resnet20", "--output", str(tmp_path / "p.md")]) == 0
    assert (
        next(iter(json.loads((tmp_path / "p.json").read_text())["rows"].values()))["lower"]["int8"]["agreement"]
        == 0.995
    )
    monkeypatch.undo()
    assert precision.main(["--data", str(tmp_path / "none")]) == EnvironmentMissing.exit_code
    assert "there is no data folder" in capsys.readouterr().err
