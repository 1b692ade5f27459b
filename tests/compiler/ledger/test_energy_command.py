"""``spikec energy``: what is printed, and what is refused."""

import pytest

from spikec.ledger import PRESETS


def test_as_json(cli):
    outcome = cli("energy artifact.onnx --data samples.npz --json")
    assert outcome.code == 0, outcome.err
    found = outcome.json
    assert (found["steps"], found["samples"], found["preset"], found["bits"]) == (4, 8, "float32", 3)
    assert set(found["energy"]) == set(PRESETS)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["first"]["kind"] == "input"
    assert layers["first"]["ann"] == layers["first"]["fixed"] == {"macs": 36, "fetches": 36}
    (neuron,) = found["neurons"]
    assert layers["last"]["events"]["accumulates"] == pytest.approx(3 * neuron["sent"])
    price = found["energy"]["float32"]
    assert price["ratio"] == pytest.approx(price["snn"] / price["ann"])
    assert f"costs {price['ratio']:.3g} times the trained network" in found["summary"]


def test_in_words(cli):
    outcome = cli("energy artifact.onnx --data samples.npz --preset float32-sram --steps 2")
    assert outcome.code == 0, outcome.err
    printed = " ".join(outcome.out.split())  # a title folds where its table is narrow
    for words in ("first", "last", "act", "mean of 8 samples, 2 steps", "weights in SRAM of 8 kB", "in 2 bits"):
        assert words in printed
    last = outcome.out.strip().splitlines()[-1]
    assert last.startswith("after 2 steps the spiking network costs ")
    assert "under preset float32-sram (memory traffic counted)" in last


def test_batches_change_nothing(cli):
    whole = cli("energy artifact.onnx --data samples.npz --json").json
    cut = cli("energy artifact.onnx --data samples.npz --batch-size 3 --json").json
    assert cut == whole


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("energy none.onnx --data samples.npz", 2, "there is no file none.onnx"),
        ("energy mlp.onnx --data samples.npz", 3, "mlp.onnx is not a spikec artifact"),
        ("energy artifact.onnx --data none.npz", 2, "none.npz"),
        ("energy artifact.onnx --data images.npz", 2, "images.npz holds image"),
        ("energy artifact.onnx", 2, "--data"),
        ("energy artifact.onnx --data samples.npz --preset float8", 2, "there is no preset 'float8'"),
        ("energy artifact.onnx --data samples.npz --steps 9", 2, "9 steps asked"),
        ("energy artifact.onnx --data samples.npz --batch-size 0", 2, "--batch-size"),
        ("energy artifact.onnx --data samples.npz --device gpu", 5, "'gpu' is not a torch device"),
    ],
)
def test_what_is_refused(refused, arguments, code, words):
    refused(arguments, code, words)
