"""What the examples of other frameworks share: the digits, the conversion, the table. None of it needs torch."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import spikec
from spikec.runtime import Session

TIMES = (4, 8, 16, 32)
TEST_SHARE = 0.3
CALIBRATION = 256  # of the training samples


@dataclass(frozen=True)
class Digits:
    """Images (N, 8, 8, 1) from 0 to 1, channels last, and labels (N,); 30 % of each class are test images."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class Trained:
    """A trained network: its ONNX model, the samples that it was trained on and is tested on, in the shape that it
    takes, and the classes that its own framework gives to the test samples.
    """

    model: onnx.ModelProto
    train: np.ndarray
    test: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Row:
    """Accuracy on the test samples, and what the compiler found on its way."""

    framework: str
    own: float
    onnx: float
    snn: dict[int, float]
    rate: float
    distance: float  # the largest of any output of levels 1 to 3 from the exported model's
    warnings: list[str]


def load(seed: int = 0) -> Digits:
    """scikit-learn's digits, split anew in the same way each time."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    parts = train_test_split(images, labels, test_size=TEST_SHARE, stratify=labels, random_state=seed)
    return Digits(parts[0], parts[2], parts[1], parts[3])


def measure(framework: str, trained: Trained, labels: np.ndarray, times: Sequence[int] = TIMES) -> Row:
    """Prepare once, compile for each number of steps (the schedule depends on it), run the test samples."""
    prepared = spikec.prepare(trained.model, calibration=trained.train[:CALIBRATION])
    accuracy, rate, warnings = {}, 0.0, []
    for steps in times:
        artifact = prepared.compile(steps=steps)
        result = Session(artifact.model, backend="onnxruntime").run(trained.test, steps)
        accuracy[steps], rate = _share(next(iter(result.final.values())), labels), result.rate
        warnings += [f"T={steps}: {warning}" for warning in artifact.warnings]
    distance = max(prepared.levels.distances.values())
    stock = _run(trained.model, trained.test)
    return Row(framework, _share(trained.classes, labels), _share(stock, labels), accuracy, rate, distance, warnings)


def table(row: Row) -> Table:
    """One line: the network in its framework, as exported, and as a spiking network."""
    made = Table(title="Accuracy on the test digits [%]", title_justify="left", header_style="bold")
    made.add_column("trained in")
    for name in ("there", "ONNX", *(f"SNN, T={steps}" for steps in row.snn), f"spike rate at T={max(row.snn)}"):
        made.add_column(name, justify="right")
    made.add_row(row.framework, *(f"{100 * x:.2f}" for x in (row.own, row.onnx, *row.snn.values())), f"{row.rate:.3f}")
    return made


def main(
    framework: str, train: Callable[[Digits, int], Trained], epochs: int, arguments: Sequence[str] | None = None
) -> int:
    """Train, export, convert and compare; the exit code."""
    parser = argparse.ArgumentParser(description=f"A network trained in {framework} becomes a spiking network.")
    parser.add_argument("--epochs", type=int, default=epochs, help="how long the network is trained [%(default)s]")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    digits = load()
    try:
        row = measure(framework, train(digits, options.epochs), digits.test_labels)
    except spikec.SpikecError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table(row))
    console.print(f"levels 1 to 3 differ from the exported model by {row.distance:.1e} at most")
    for warning in row.warnings:
        console.print(f"warning: {warning}", style="yellow")
    if options.json:
        options.json.write_text(json.dumps(asdict(row), indent=1) + "\n")
    return 0


def _run(model: onnx.ModelProto, samples: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: samples})[0])


def _share(output: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers; ``output`` has a class or a score for each class in each row."""
    classes = output if output.ndim == 1 else output.argmax(axis=1)
    return float(np.mean(classes == labels))
