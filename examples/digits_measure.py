"""What the demo measures of one trained network: its plan, accuracy over time steps, and agreement of the engines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from torch import nn

import spikec
from examples.digits_networks import Digits, Progress, Recipe
from spikec.frontends.torch_module import export_module
from spikec.runtime import Session

TIMES = (4, 8, 16, 32, 64)
PRESETS = ("default", "paper")
SAVED = 32  # number of steps of the saved artifacts, and of the spike rate in the table


@dataclass(frozen=True)
class Row:
    """One network compiled with one preset: accuracy and spike rate by number of steps."""

    network: str
    preset: str
    ann: float
    accuracy: dict[int, float]
    rate: dict[int, float]
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def export(network: nn.Module, recipe: Recipe, digits: Digits, path: Path) -> None:
    """Write the trained network as ONNX with a dynamic batch."""
    onnx.save(export_module(network, digits.train[:2], recipe.title, "torch").model, path)


def classes_of(path: Path, images: np.ndarray) -> np.ndarray:
    """The classes that a file gives in stock onnxruntime: an ONNX file, trained network and artifact alike."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0]).argmax(axis=1)


def accuracy_of(classes: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers."""
    return float(np.mean(classes == labels))


def plan_summary(path: Path, preset: str) -> str:
    """What will become of the network's nodes, in one line."""
    plan = spikec.plan(path, preset=preset)
    if plan.unsupported:
        refused = "; ".join(f"{node.name} ({node.op}): {node.detail}" for node in plan.unsupported)
        raise spikec.ModelError(f"{path.name} cannot be converted with preset {preset}: {refused}")
    summary = plan.as_dict()["summary"]
    return (
        f"{summary['linear']} linear nodes, {summary['neuron_nodes']} neuron nodes "
        f"with {summary['neurons_per_sample']:,} neurons"
    )


def measure(
    recipe: Recipe, preset: str, path: Path, digits: Digits, times: Sequence[int], saved: int, progress: Progress
) -> Row:
    """Compile for each number of steps (the schedule depends on it), run the test images, save one artifact."""
    accuracy, rate, warnings = {}, {}, []
    ann, total = accuracy_of(classes_of(path, digits.test), digits.labels), sum(times) * len(digits.test)
    for index, steps in enumerate(times):
        before = sum(times[:index]) * len(digits.test)
        artifact = spikec.compile(path, calibration=digits.calibration, preset=preset, steps=steps)
        if steps == saved:
            artifact.save(artifact_path(path, preset, steps))
        result = Session(artifact.model).run(
            digits.test, steps, progress=lambda done, _, b=before, s=steps: progress(b + done * s, total)
        )
        accuracy[steps] = accuracy_of(_classes(result.final), digits.labels)
        rate[steps] = result.rate
        warnings += [f"T={steps}: {warning}" for warning in artifact.warnings]
    return Row(recipe.title, preset, ann, accuracy, rate, warnings)


def artifact_path(path: Path, preset: str, steps: int) -> Path:
    """Where the artifact of the network in ``path`` goes."""
    return path.with_name(f"{path.stem}_{preset}_T{steps}.onnx")


def agreement(path: Path, images: np.ndarray) -> float:
    """Share of images to which stock onnxruntime and both backends of the runtime give one and the same class."""
    stock = classes_of(path, images)
    found = [_classes(Session(path, backend).run(images, spikes=False).final) for backend in ("onnxruntime", "torch")]
    return float(np.all([stock == classes for classes in found], axis=0).mean())


def _classes(outputs: dict[str, np.ndarray]) -> np.ndarray:
    return next(iter(outputs.values())).argmax(axis=1)
