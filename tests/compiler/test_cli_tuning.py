"""``spikec compile --tune``, and the settings that it searches as options."""

import csv
import json
import sys

import onnx
import pytest

from spikec.cli.arguments import seconds
from spikec.errors import UsageError

COMMAND = "compile mlp.onnx -o snn.onnx -T 3 --calibration samples.npz"


def manifest(path):
    return json.loads({prop.key: prop.value for prop in onnx.load(path).metadata_props}["spikec"])


@pytest.fixture(autouse=True)
def needs_optuna():
    pytest.importorskip("optuna")


def test_tune_as_json(cli, folder):
    outcome = cli(f"{COMMAND} --tune --tune-trials 3 --tune-budget 10m --json")
    assert outcome.code == 0 and outcome.err == ""
    found = outcome.json["tuning"]
    assert found["trials"] == 3 and found["csv"] == "snn.trials.csv"
    kept = manifest(folder / "snn.onnx")["tuning"]
    assert found["chosen"] == kept["chosen"] and found["held_back"] == kept["held_back"]
    assert found["held_back"]["tuned"] <= found["held_back"]["default"]
    with (folder / "snn.trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["distance"]) for row in rows] == pytest.approx([t["distance"] for t in kept["trials"]], rel=1e-5)


def test_tune_in_words_with_a_file_for_the_trials(cli, folder):
    outcome = cli(f"{COMMAND} --tune --tune-trials 2 --tune-csv trials.csv")
    assert outcome.code == 0 and outcome.err == ""
    kept = manifest(folder / "snn.onnx")["tuning"]["held_back"]
    assert "tuned in 2 trials (trials.csv)" in outcome.out
    assert f"{kept['default']:.4f} -> {kept['tuned']:.4f}" in outcome.out
    assert (folder / "trials.csv").exists() and not (folder / "snn.trials.csv").exists()


def test_nothing_is_tuned_unasked(cli, folder):
    assert "tuning" not in cli(f"{COMMAND} --json").json
    assert "tuning" not in manifest(folder / "snn.onnx") and not list(folder.glob("*.csv"))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--tune-budget 0", 2, ("seconds above 0",)),
        ("--tune-budget soon", 2, ("'soon' is no time span", "90s or 5m")),
        ("--tune-trials 0", 2, ("1 or more",)),
        ("--range-rule max", 2, ("--range-rule fit",)),
        ("--tune-csv nowhere/trials.csv", 2, ("nowhere",)),
    ],
)
def test_refusals(refused, options, code, words):
    refused(f"{COMMAND} --tune {options}", code, *words)


def test_without_optuna_the_environment_is_at_fault(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused(f"{COMMAND} --tune", 5, "optuna", "spikec[tune]")


@pytest.mark.parametrize(("text", "span"), [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0)])
def test_time_spans(text, span):
    assert seconds(text) == span


@pytest.mark.parametrize("text", ["", "s", "5h", "1m30s"])
def test_what_is_no_time_span(text):
    with pytest.raises(UsageError, match="write 90s or 5m"):
        seconds(text)


def test_the_searched_settings_are_options_too(cli, folder):
    chosen = "--correction 0.25 --early-dead-zone unary=0.4 --range-rule fit:0.5 --schedule geometric:ratio=0.8"
    assert cli(f"{COMMAND} {chosen}").code == 0
    options = manifest(folder / "snn.onnx")["options"]
    assert (options["correction"], options["early_dead_zone"], options["range_rule"]) == (0.25, "unary=0.4", "fit:0.5")


def test_a_wrong_correction(refused):
    refused(f"{COMMAND} --correction 1.5", 2, "correction is 1.5", "from 0 to 1")
