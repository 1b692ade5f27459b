"""``spikec bench``: who is timed, what is printed, and what is refused."""

import pytest

COMPILE = "compile mlp.onnx -o snn.onnx -T 4 --calibration samples.npz"


@pytest.fixture(autouse=True)
def artifact(cli, monkeypatch):
    """Compiling kernels would take longer than all else here."""
    monkeypatch.setattr("spikec.runtime.evaluation.can_compile", lambda device: False)
    assert cli(COMPILE).code == 0


def test_ratios_to_the_dense_model_as_json(cli):
    outcome = cli("bench snn.onnx --against mlp.onnx --batch 3 --runs 2 --json")
    assert outcome.code == 0
    found = outcome.json
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == [
        "torch float32, auto", "torch float32, layers", "torch float32, steps", "artifact in onnxruntime",
        "dense onnxruntime",
    ]  # fmt: skip
    assert (found["samples"], found["steps"], found["yardstick"]) == (3, 4, "dense onnxruntime")
    assert rows["dense onnxruntime"]["ratio"] == 1
    for row in rows.values():
        assert row["seconds_per_step"] == row["seconds"] / 4
        assert row["ratio"] == row["seconds"] / rows["dense onnxruntime"]["seconds"]


def test_in_words(cli):
    outcome = cli("bench snn.onnx --steps 2 --runs 1 --evaluation steps")
    assert outcome.code == 0
    assert "torch float32, steps" in outcome.out
    assert "left out: artifact in onnxruntime: it always takes all 4 steps" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("bench none.onnx", 2, "none.onnx"),
        ("bench mlp.onnx", 3, "is not a spikec artifact"),
        ("bench snn.onnx --steps 9", 2, "9 steps asked"),
        ("bench snn.onnx --precision float8", 2, "there is no precision 'float8'"),
        ("bench snn.onnx --evaluation sideways", 2, "there is no evaluation 'sideways'"),
        ("bench snn.onnx --data samples.npz --batch 100000", 2, "has only"),
        ("bench snn.onnx --device cuda:7", 5, "CUDA"),
    ],
)
def test_what_is_refused(cli, arguments, code, words):
    outcome = cli(arguments)
    assert (outcome.code, words in outcome.err) == (code, True), outcome.err
