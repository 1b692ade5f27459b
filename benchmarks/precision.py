"""What lower precision costs in accuracy, network by network: ``python -m benchmarks.precision``.

See ``docs/benchmarks.md``.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich import progress as bars

import spikec
from benchmarks.accuracy.networks import CACHE, NETWORKS, Network, Source
from benchmarks.command import exit_code, progress_bar
from benchmarks.datasets import VARIABLE
from spikec.runtime import Session

OUTPUT = Path(__file__).parent / "results" / "precision.md"
TRAINED = [network for network in NETWORKS if not network.name.startswith("digits")]
STEPS, IMAGES = 16, 200
LOWER = ("bfloat16", "int8")


@dataclass(frozen=True)
class Cost:
    """A lower precision: its accuracy, how often it agrees with float32, and how far its outputs are from there."""

    accuracy: float
    agreement: float
    distance: float


@dataclass(frozen=True)
class Row:
    """A network: accuracies of ANN and float32, and what each lower precision costs."""

    ann: float
    float32: float
    lower: dict[str, Cost]


def measure(network: Network, source: Source, steps: int, progress: bars.Progress) -> Row:
    """The same artifact in all precisions on the same test images; the distance is the relative L2 of the scores."""
    subject = network.load(source)
    task = progress.add_task(network.title, total=(1 + len(LOWER)) * len(subject.images.test))
    # the rule of the ranges is the quick one: all precisions run one artifact, and are compared with each other
    artifact = spikec.compile(
        subject.model, calibration={subject.input: subject.images.calibration[:256]}, steps=steps,
        range_rule="max", correction=0.0,
    )  # fmt: skip
    scores = {}
    for i, precision in enumerate(("float32", *LOWER)):
        session = Session(artifact.model, precision=precision, evaluation="layers")
        advance = partial(_advance, progress, task, i * len(subject.images.test))
        (scores[precision],) = session.run(subject.images.test, spikes=False, progress=advance).final.values()
    exact, labels = scores.pop("float32"), subject.images.labels
    lower = {precision: cost(coarse, exact, labels) for precision, coarse in scores.items()}
    return Row(subject.accuracy, float(np.mean(exact.argmax(axis=1) == labels)), lower)


def cost(coarse: np.ndarray, exact: np.ndarray, labels: np.ndarray) -> Cost:
    """Of scores (N, classes) in a lower precision, beside those in float32."""
    return Cost(
        accuracy=float(np.mean(coarse.argmax(axis=1) == labels)),
        agreement=float(np.mean(coarse.argmax(axis=1) == exact.argmax(axis=1))),
        distance=float(np.linalg.norm(coarse - exact) / np.linalg.norm(exact)),
    )


def markdown(setup: dict[str, str], rows: dict[str, Row]) -> str:
    """The whole results file."""
    return "\n".join(
        [
            "# Precision",
            "",
            f"Made by `{setup['command']}`; do not edit.",
            "",
            *(f"- {key}: {value}" for key, value in setup.items() if key != "command"),
            "",
            f"| network | ANN | float32 | {' | '.join(LOWER)} |",
            f"|{'---|' * (3 + len(LOWER))}",
            *(f"| {name} | {row.ann:.3f} | {row.float32:.3f} | {_costs(row)} |" for name, row in rows.items()),
            "",
            "Accuracy of the trained network and of the artifact in each precision; behind that of a lower one, the",
            "share of images with the same class as in float32, and the relative L2 distance from its scores.",
            "",
        ]
    )


def _costs(row: Row) -> str:
    costs = [row.lower[precision] for precision in LOWER]
    return " | ".join(f"{cost.accuracy:.3f} / {cost.agreement:.3f} / {cost.distance:.4f}" for cost in costs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and return the exit code."""
    names = [network.name for network in TRAINED]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", choices=names, help="only this one (may be given several times)")
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help="test images, from the first on")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="T", help="time steps")
    parser.add_argument("--data", metavar="FOLDER", help=f"data folder (else ${VARIABLE}, else ../shared/data)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw numbers go beside it as .json")
    return exit_code("precision", partial(_benchmark, parser.parse_args(arguments)))


def _benchmark(options: argparse.Namespace) -> None:
    source = Source(options.data, CACHE, options.images, lambda done, total: None)
    chosen = [network for network in TRAINED if network.name in (options.network or [n.name for n in TRAINED])]
    with progress_bar(bars.MofNCompleteColumn()) as bar:
        rows = {network.title: measure(network, source, options.steps, bar) for network in chosen}
    setup = {
        "command": f"python -m benchmarks.precision --images {options.images} --steps {options.steps}",
        "test images": f"up to {options.images}",
        "time steps": f"{options.steps}",
        "device": f"CPU ({platform.machine()})",
        "with": ", ".join(f"{name} {version(name)}" for name in ("spikec", "torch", "numpy")),
        "date": date.today().isoformat(),
    }
    raw = {"setup": setup, "rows": {name: asdict(row) for name, row in rows.items()}}
    options.output.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
    options.output.write_text(markdown(setup, rows))


def _advance(bar: bars.Progress, task: bars.TaskID, before: int, done: int, total: int) -> None:
    bar.update(task, completed=before + done)


if __name__ == "__main__":
    sys.exit(main())
