"""Early exit: steps that samples take, and what they say then, by rule: ``python -m benchmarks.early_exit``.

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
from time import process_time
from typing import Any

import numpy as np
from rich import progress as bars

import spikec
from benchmarks.accuracy.networks import CACHE, NETWORKS, Source
from benchmarks.accuracy.subject import Subject
from benchmarks.command import exit_code, progress_bar
from benchmarks.datasets import VARIABLE
from spikec.runtime import Session, parse_rule

OUTPUT = Path(__file__).parent / "results" / "early_exit.md"
NETWORK, STEPS, IMAGES = "resnet20", 32, 200
RULES = ("stability:2", "stability:3", "stability:4", "margin:4", "margin:8", "margin:12", "certified")


@dataclass(frozen=True)
class Row:
    """A rule: mean and greatest steps used, accuracy, agreement with the run of all steps, seconds of the CPU."""

    mean: float
    most: int
    accuracy: float
    agreement: float
    seconds: float


def measure(session: Session, subject: Subject, rules: Sequence[str], progress: bars.Progress) -> dict[str, Row]:
    """Every rule on the test images, ``all steps`` first: what the others are compared with."""
    start = process_time()
    (scores,) = session.run(subject.images.test, spikes=False).final.values()
    full, limit = scores.argmax(axis=1), session.manifest.steps
    rows = {"all steps": _row(np.full(len(full), limit), full, full, subject, process_time() - start)}
    for rule in rules:
        task = progress.add_task(rule, total=len(full))
        start = process_time()
        found = session.run_until(subject.images.test, parse_rule(rule), progress=partial(_show, progress, task))
        (scores,) = found.outputs.values()
        rows[rule] = _row(found.steps, scores.argmax(axis=1), full, subject, process_time() - start)
    return rows


def _row(steps: np.ndarray, classes: np.ndarray, full: np.ndarray, subject: Subject, seconds: float) -> Row:
    accuracy, agreement = np.mean(classes == subject.images.labels), np.mean(classes == full)
    return Row(float(steps.mean()), int(steps.max()), float(accuracy), float(agreement), seconds)


def markdown(setup: dict[str, Any], rows: dict[str, Row]) -> str:
    """The whole results file."""
    lines = [
        "# Early exit",
        "",
        f"Made by `{setup['command']}`; do not edit.",
        "",
        *(f"- {key}: {value}" for key, value in setup.items() if key != "command"),
        "",
        "| rule | steps, mean | most | accuracy | agreement | CPU seconds |",
        f"|{'---|' * 6}",
        *(
            f"| {rule} | {row.mean:.2f} | {row.most} | {row.accuracy:.3f} | {row.agreement:.3f} | {row.seconds:.0f} |"
            for rule, row in rows.items()
        ),
        "",
        "Agreement: share of the images with the answer of all steps. CPU seconds: all images, in batches of 64.",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.early_exit", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help="test images, from the first on")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="T", help="steps of the run that none goes beyond")
    parser.add_argument("--rule", action="append", help="only this one (may be given several times)")
    parser.add_argument("--data", metavar="FOLDER", help=f"data folder (else ${VARIABLE}, else ../shared/data)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw numbers go beside it as .json")
    return exit_code("early_exit", partial(_benchmark, parser.parse_args(arguments)))


def _benchmark(options: argparse.Namespace) -> None:
    network = next(network for network in NETWORKS if network.name == NETWORK)
    with progress_bar(bars.MofNCompleteColumn()) as bar:
        subject = network.load(Source(options.data, CACHE, options.images, lambda done, total: None))
        bar.console.print(f"compiling {network.title}")
        calibration = {subject.input: subject.images.calibration}
        artifact = spikec.compile(subject.model, calibration=calibration, steps=options.steps)
        session = Session(artifact.model, evaluation="steps")  # as the rules do: seconds can be compared
        rows = measure(session, subject, options.rule or RULES, bar)
        _write(options, {"network": network.title, **_setup(options, subject)}, rows)
        bar.console.print(f"written: {options.output}, and .json beside it", soft_wrap=True)


def _setup(options: argparse.Namespace, subject: Subject) -> dict[str, Any]:
    given = [f"--images {options.images}"] if options.images != IMAGES else []
    given += [f"--steps {options.steps}"] if options.steps != STEPS else []
    given += [f"--rule {rule}" for rule in options.rule or ()]
    return {
        "command": " ".join(["python -m benchmarks.early_exit", *given]),
        "test images": len(subject.images.test),
        "time steps": options.steps,
        "accuracy of the trained network": round(subject.accuracy, 4),
        "device": f"CPU ({platform.machine()}), backend torch, float32",
        "with": ", ".join(f"{name} {version(name)}" for name in ("spikec", "torch", "numpy")),
        "date": date.today().isoformat(),
    }


def _write(options: argparse.Namespace, setup: dict[str, Any], rows: dict[str, Row]) -> None:
    raw = {"setup": setup, "rows": {rule: asdict(row) for rule, row in rows.items()}}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
    options.output.write_text(markdown(setup, rows))


def _show(bar: bars.Progress, task: bars.TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    sys.exit(main())
