"""The benchmark of spike rates on a small network."""

import json

import numpy as np
from rich.progress import Progress

import spikec
from benchmarks import spike_rates
from benchmarks.accuracy.networks import Network, Source
from benchmarks.accuracy.subject import Subject
from benchmarks.datasets import Images
from spikec.errors import EnvironmentMissing
from spikec.runtime import Session
from tests.models.graphs import normal
from tests.models.networks import network

SOURCE = Source(None, None, None, lambda done, total: None)


def test_rates_by_layer_are_those_of_a_session():
    subject = Subject.of(network("deep").model, Images(normal(64, 6), normal(30, 6, seed=1), np.arange(30) % 4))
    rates = spike_rates.measure(Network("deep", "Deep", lambda source: subject), SOURCE, (4, 8), Progress(disable=True))
    artifact = spikec.compile(subject.model, calibration={"x": subject.images.calibration}, steps=8)
    result = Session(artifact.model).run(subject.images.test)
    assert rates.pop("all")["8"] == result.rate
    assert {name: row["8"] for name, row in rates.items()} == {n: c.rate for n, c in result.spikes.items()}
    assert all(0 < row["4"] < 1 for row in rates.values())


def test_the_report_has_a_line_a_layer():
    text = spike_rates.markdown({"command": "the command"}, {"N": {"conv": {"8": 0.25}, "all": {"8": 0.3}}})
    assert "| conv | 0.250 |\n| all | 0.300 |" in text
    assert "Made by `the command`" in text


def test_results_are_written_and_missing_data_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(spike_rates, "measure", lambda *args: {"all": {"8": 0.5}})
    assert spike_rates.main(["--output", str(tmp_path / "r.md")]) == 0
    assert list(json.loads((tmp_path / "r.json").read_text())["rates"].values()) == [{"all": {"8": 0.5}}]
    monkeypatch.undo()
    assert spike_rates.main(["--data", str(tmp_path / "none")]) == EnvironmentMissing.exit_code
    assert "there is no data folder" in capsys.readouterr().err
