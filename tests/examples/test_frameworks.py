"""The examples of other frameworks, each run as a user would; what they share."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from examples.frameworks import CALIBRATION, TIMES, Trained, load, main
from spikec.equivalence import TOLERANCE

ROOT = Path(__file__).parents[2]
# example -> how long it is trained here, and the packages that it needs
EXAMPLES = {
    "sklearn_digits": (30, ("skl2onnx",)),
    "flax_digits": (3, ("flax", "jax2onnx", "optax")),
    "keras_digits": (6, ("keras", "tensorflow", "tf2onnx")),
}


@pytest.fixture(params=EXAMPLES)
def figures(request, tmp_path):
    """What the example wrote; skipped where its framework is not installed."""
    epochs, packages = EXAMPLES[request.param]
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'spikec[frameworks]'")
    path = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"examples.{request.param}", "--epochs", str(epochs), "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Accuracy on the test digits" in done.stdout
    return json.loads(path.read_text())


def test_the_spiking_network_is_as_good_as_the_trained_one(figures):
    assert figures["own"] > 0.9, "it was trained"
    assert abs(figures["onnx"] - figures["own"]) < 0.005, "the exported model is the trained one"
    assert list(figures["snn"]) == [str(steps) for steps in TIMES]
    assert abs(figures["snn"]["32"] - figures["own"]) < 0.02
    assert 0 < figures["rate"] < 1
    assert figures["distance"] <= TOLERANCE, "levels 1 to 3 compute what the exported model does"
    assert figures["warnings"] == []


def test_train_and_test_images_are_apart_and_of_all_classes():
    digits = load()
    train, test = ({image.tobytes() for image in part} for part in (digits.train, digits.test))
    assert not train & test
    assert set(digits.train_labels[:CALIBRATION]) == set(digits.test_labels) == set(range(10))
    shares = np.bincount(digits.test_labels) / (np.bincount(digits.test_labels) + np.bincount(digits.train_labels))
    assert np.abs(shares - 0.3).max() < 0.01


def test_a_network_that_cannot_be_converted_ends_with_its_reason(capsys):
    text = '<ir_version: 10, opset_import: ["": 20]> g (float[N,64] x) => (float[N,64] y) { [cell] y = Unknown(x) }'

    def train(digits, epochs):
        samples = digits.train.reshape(len(digits.train), -1)
        return Trained(onnx.parser.parse_model(text), samples, samples, digits.train_labels)

    assert main("a test", train, 1, []) == 3
    assert "Unknown" in capsys.readouterr().err
