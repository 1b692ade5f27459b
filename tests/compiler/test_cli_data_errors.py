"""Calibration and input files that do not fit."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.models import tiny

X, LABELS = tiny.samples()["x"], tiny.samples()["labels"]
# both commands read samples, by the same rules
COMMANDS = {
    "compile": "compile mlp.onnx -o out.onnx -T 4 --calibration {}",
    "run": "run artifact.onnx -i {}",
}


def _with(value: float) -> np.ndarray:
    spoilt = X.copy()
    spoilt[2, 3] = value
    return spoilt


# what is wrong -> arrays in the file, and what the error says
ARRAYS = {
    "pickled objects": ({"x": np.array([{"a": 1}, None], dtype=object)}, ["numbers only"]),
    "pickled labels": ({"x": X, "labels": np.array([None] * 8, dtype=object)}, ["numbers only"]),
    "wrong name": ({"pixels": X}, ["pixels", "inputs are x"]),
    "extra name": ({"x": X, "mask": X}, ["mask", "inputs are x"]),
    "labels alone": ({"labels": LABELS}, ["nothing", "inputs are x"]),
    "no array": ({}, ["nothing", "inputs are x"]),
    "rank too low": ({"x": X[0]}, ["'x'", "(6,)", "(N, 6)"]),
    "rank too high": ({"x": X[None]}, ["'x'", "(1, 8, 6)", "(N, 6)"]),
    "a number": ({"x": np.float32(3)}, ["'x'", "()", "(N, 6)"]),
    "wrong dimension": ({"x": X[:, :5]}, ["'x'", "(8, 5)", "(N, 6)"]),
    "float64": ({"x": X.astype(np.float64)}, ["'x'", "float64", ".astype('float32')"]),
    "integers": ({"x": X.astype(np.uint8)}, ["'x'", "uint8", ".astype('float32')"]),
    "text": ({"x": np.array(["a", "b"])}, ["'x'", "float32"]),
    "NaN": ({"x": _with(np.nan)}, ["'x'", "1 values", "NaN"]),
    "infinity": ({"x": _with(-np.inf)}, ["'x'", "1 values", "infinite"]),
    "no samples": ({"x": X[:0]}, ["no samples"]),
    "labels too few": ({"x": X, "labels": LABELS[:3]}, ["labels", "8 integers", "(3,)"]),
    "labels of two axes": ({"x": X, "labels": LABELS[:, None]}, ["labels", "8 integers", "(8, 1)"]),
    "labels of floats": ({"x": X, "labels": LABELS.astype(np.float32)}, ["labels", "8 integers", "float32"]),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", ARRAYS)
def test_arrays_that_do_not_fit(refused: Callable[..., None], command: str, fault: str) -> None:
    arrays, words = ARRAYS[fault]
    np.savez("odd.npz", **arrays)
    refused(COMMANDS[command].format("odd.npz"), 2, "odd.npz", *words)


def _missing() -> None:
    assert not Path("odd.npz").exists()


def _folder() -> None:
    Path("odd.npz").mkdir()


def _empty() -> None:
    Path("odd.npz").write_bytes(b"")


def _text() -> None:
    Path("odd.npz").write_text("x: 1, 2, 3\n")


def _one_array() -> None:
    with open("odd.npz", "wb") as file:
        np.save(file, X)


def _cut() -> None:
    content = Path("samples.npz").read_bytes()
    Path("odd.npz").write_bytes(content[: len(content) // 2])


def _foreign_entry() -> None:
    with zipfile.ZipFile("odd.npz", "w") as archive:
        archive.writestr("x", "no array")


def _flipped() -> None:
    content = bytearray(Path("samples.npz").read_bytes())
    content[200] ^= 0xFF  # in the first array: the checksum tells
    Path("odd.npz").write_bytes(content)


FILES = {
    "missing": (_missing, "there is no file"),
    "a folder": (_folder, "is a folder"),
    "empty": (_empty, "is not an .npz file"),
    "text": (_text, "is not an .npz file"),
    "a single array": (_one_array, "is not an .npz file"),
    "cut short": (_cut, "is not an .npz file"),
    "an entry that is no array": (_foreign_entry, "'x', which is no array"),
    "a flipped byte": (_flipped, "cannot be read"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", FILES)
def test_files_that_hold_no_arrays(refused: Callable[..., None], folder: Path, command: str, fault: str) -> None:
    write, words = FILES[fault]
    write()
    refused(COMMANDS[command].format("odd.npz"), 2, "odd.npz", words)


def test_inputs_with_different_numbers_of_samples(refused: Callable[..., None]) -> None:
    tiny.save(tiny.two_inputs(), Path("two.onnx"))
    np.savez("odd.npz", left=X, right=X[:5])
    refused("compile two.onnx -o out.onnx --calibration odd.npz", 2, "odd.npz", "[5, 8]")


def test_fewer_samples_than_a_fixed_batch(refused: Callable[..., None]) -> None:
    tiny.save(tiny.build(tiny.MLP.replace("[N,", "[8,")), Path("eight.onnx"))
    np.savez("odd.npz", x=X[:5])
    refused("compile eight.onnx -o out.onnx --calibration odd.npz", 2, "batch of 8", "only 5 samples")


@pytest.mark.parametrize("shift", [-1, 1])
def test_labels_beyond_the_classes(refused: Callable[..., None], shift: int) -> None:
    np.savez("odd.npz", x=X, labels=np.array([0, 1, 2, 0, 1, 2, 0, 1]) + shift)
    refused("run artifact.onnx -i odd.npz", 2, "labels", f"from {shift} to {2 + shift}", "0 to 2")


def test_labels_without_an_output_of_classes(refused: Callable[..., None], cli: Callable[..., object]) -> None:
    last = {"w2": np.ones((6, 1), np.float32), "b2": np.ones(1, np.float32)}
    tiny.save(tiny.build(tiny.MLP.replace("N, 3", "N, 1"), extra=last), Path("one.onnx"))
    assert cli("compile one.onnx -o one.onnx.spk -T 4").code == 0
    refused("run one.onnx.spk -i samples.npz", 2, "labels", "class scores")


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_open_dimensions_that_the_weights_do_not_take(
    refused: Callable[..., None], cli: Callable[..., object], backend: str
) -> None:
    tiny.save(tiny.build(tiny.CNN.replace("6, 6] image", "H, W] image")), Path("open.onnx"))
    np.savez("large.npz", image=np.zeros((4, 2, 8, 8), np.float32))
    refused("compile open.onnx -o out.onnx --calibration large.npz", 3, "head", "Gemm")
    assert cli("compile open.onnx -o open.spk -T 4 --calibration images.npz").code == 0
    refused(f"run open.spk -i large.npz --backend {backend}", 2, "image (4, 2, 8, 8)", "'head'")
