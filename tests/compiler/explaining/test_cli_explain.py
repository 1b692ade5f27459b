"""``spikec explain`` on the command line."""

import csv
from pathlib import Path

import onnx
import pytest

from tests.models import tiny
from tests.models.spoilt import with_amplitude

COMMAND = "explain mlp.onnx artifact.onnx --data samples.npz"


def test_the_table_and_the_last_line(cli):
    outcome = cli(COMMAND)
    assert (outcome.code, outcome.err) == (0, "")
    for word in ("share", "distance", "inherited", "own", "saturated", "dead", "rate", "act", "Relu", "t = 4"):
        assert word in outcome.out
    last = outcome.out.strip().splitlines()[-1]
    assert last.startswith("'act' costs the most, 100 % of the squared distance")


def test_json_holds_all_neurons_and_steps(cli):
    found = cli(f"{COMMAND} --json").json
    assert (found["model"], found["artifact"], found["steps"], found["samples"]) == ("mlp.onnx", "artifact.onnx", 4, 8)
    (row,) = found["neurons"]
    assert found["ranking"] == [row["name"]] == ["act"]
    for what in ("distance", "inherited", "own", "saturated", "dead", "rate"):
        assert len(row[what]) == 4
    assert row["inherited"] == [0.0] * 4 and row["own"] == pytest.approx(row["distance"])
    assert row["share"] == pytest.approx(1, abs=1e-3) and sum(row["causes"].values()) == pytest.approx(1)
    assert len(found["outputs"]["y"]) == 4 and found["floor"]["y"] < 1e-5


def test_samples_top_and_csv(cli):
    outcome = cli(f"{COMMAND} --samples 3 --top 1 --csv figures.csv --json")
    assert outcome.json["samples"] == 3
    with Path("figures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["t"] for row in rows] == ["1", "2", "3", "4"] and {row["neuron"] for row in rows} == {"act"}
    assert [float(row["own"]) for row in rows] == outcome.json["neurons"][0]["own"]


def test_a_saturated_neuron_is_told_how_to_reach_farther(cli):
    model = with_amplitude(onnx.load("artifact.onnx"), "act", 0.05)
    Path("spoilt.onnx").write_bytes(model.SerializeToString())
    last = cli("explain mlp.onnx spoilt.onnx --data samples.npz").out.strip().splitlines()[-1]
    assert "saturated" in last and "--range-rule max" in last


def test_a_form_of_single_steps_gives_the_same(cli):
    options = "-T 4 --calibration samples.npz"
    cli(f"compile mlp.onnx -o steps.onnx --form step {options}")
    loop, step = (
        cli(f"explain mlp.onnx {name} --data samples.npz --json").json for name in ("artifact.onnx", "steps.onnx")
    )
    assert {**loop, "artifact": ""} == {**step, "artifact": ""}


def test_a_foreign_model(refused):
    tiny.save(tiny.between("h = Sigmoid(a)"), Path("foreign.onnx"))
    refused("explain foreign.onnx artifact.onnx --data samples.npz", 3, "another model", "mlp.onnx", "foreign.onnx")


def test_the_form_unrolled(cli, refused):
    cli("compile mlp.onnx -o unrolled.onnx -T 4 --form unrolled --calibration samples.npz")
    refused("explain mlp.onnx unrolled.onnx --data samples.npz", 3, "unrolled.onnx", "--form loop")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("explain mlp.onnx artifact.onnx --data gone.npz", 2, "gone.npz"),
        ("explain mlp.onnx artifact.onnx --data images.npz", 2, "images.npz"),
        ("explain mlp.onnx gone.onnx --data samples.npz", 2, "gone.onnx"),
        ("explain gone.onnx artifact.onnx --data samples.npz", 2, "gone.onnx"),
        ("explain mlp.onnx mlp.onnx --data samples.npz", 3, "not a spikec artifact"),
        (f"{COMMAND} --samples 0", 2, "--samples"),
        (f"{COMMAND} --top 0", 2, "--top"),
        (f"{COMMAND} --csv gone/figures.csv", 2, "there is no folder gone"),
        (f"{COMMAND} --csv samples.npz", 2, "would be overwritten"),
        ("explain mlp.onnx artifact.onnx", 2, "--data"),
    ],
)
def test_errors(refused, command, code, words):
    refused(command, code, words)


def test_help(cli):
    outcome = cli("explain --help")
    assert outcome.code == 0 and all(word in outcome.out for word in ("--data", "--samples", "--top", "--csv"))


def test_names_in_brackets_are_shown_as_they_are(cli):
    model = tiny.mlp()
    model.graph.node[1].name = "act[bold]"
    tiny.save(model, Path("odd.onnx"))
    assert cli("compile odd.onnx -o odd_snn.onnx -T 4 --calibration samples.npz").code == 0
    outcome = cli("explain odd.onnx odd_snn.onnx --data samples.npz")
    assert outcome.code == 0 and "'act[bold]' costs the most" in outcome.out and "│ act[bold]" in outcome.out


def test_figures_are_the_same_on_every_call(cli):
    assert cli(f"{COMMAND} --json").json == cli(f"{COMMAND} --json").json
