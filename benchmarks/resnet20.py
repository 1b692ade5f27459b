"""Accuracy of the converted ResNet-20 of CIFAR-10 over time steps: ``python -m benchmarks.resnet20``.

See ``docs/benchmarks.md``.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from rich import progress as bars

from benchmarks import rate_coding
from benchmarks.command import exit_code, progress_bar
from benchmarks.datasets import VARIABLE, cifar10, data_folder, required
from benchmarks.measurement import Configuration, Progress, Row, Subject, measure
from benchmarks.report import Results
from spikec.errors import UsageError

NETWORK = "cifar10_resnet20"
OUTPUT = Path(__file__).parent / "results" / "resnet20.md"
CONFIGURATIONS = (
    Configuration("default", "the default preset: direct coding, a schedule fitted to T"),
    Configuration("paper", "the preset paper: eta(t) = 0.15 * 0.95^t, float coding, ranges of ReLU", "paper"),
    Configuration(
        "subgradient-max",
        "integrate-and-fire dynamics, eta(t) = 1/(t+1), range max",
        chosen={"dynamics": "subgradient", "range_rule": "max"},
        one_run=True,
    ),
    Configuration(
        "subgradient-99.9",
        "integrate-and-fire dynamics, eta(t) = 1/(t+1), range percentile:99.9",
        chosen={"dynamics": "subgradient", "range_rule": "percentile:99.9"},
        one_run=True,
    ),
)
NAMES = (*(configuration.name for configuration in CONFIGURATIONS), *rate_coding.MODES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code("resnet20", partial(_benchmark, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resnet20", description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help=f"data folder (else ${VARIABLE}, else ../shared/data)")
    parser.add_argument("--images", type=int, metavar="N", help="test images, from the first on (all by default)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw numbers go beside it as .json")
    parser.add_argument("--spikingjelly", action="store_true", help="measure SpikingJelly's conversion too")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"measure this row, keep the others: {', '.join(NAMES)}"
    )
    return parser


def _benchmark(options: argparse.Namespace) -> None:
    wanted = _wanted(options.only, options.spikingjelly)
    if any(name in rate_coding.MODES for name in wanted):
        rate_coding.package()  # before the minutes of the other rows, not after them
    folder = data_folder(options.data)
    path = required(folder, f"{NETWORK}.onnx")
    subject = Subject.of(path, cifar10(folder, NETWORK, images=options.images))
    results = Results("ResNet-20 of CIFAR-10", _setup(subject))
    if options.only and options.output.with_suffix(".json").is_file():
        results.keep_from(options.output.with_suffix(".json"))
    with progress_bar(bars.TaskProgressColumn()) as bar:
        for name in wanted:
            task = bar.add_task(name, total=None)
            results.rows[name] = _measure(name, subject, partial(_show, bar, task))
            results.save(options.output, NAMES, _command(options, results.rows))
            bar.console.print(f"{name}: {_summary(results.rows[name])}", soft_wrap=True)
    bar.console.print(f"written: {options.output} and {options.output.with_suffix('.json').name}", soft_wrap=True)


def _show(bar: bars.Progress, task: bars.TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _wanted(only: Sequence[str] | None, spikingjelly: bool) -> list[str]:
    unknown = set(only or ()) - set(NAMES)
    if unknown:
        raise UsageError(f"there is no row {', '.join(sorted(unknown))}; choose among {', '.join(NAMES)}")
    wanted = set(only) if only else {configuration.name for configuration in CONFIGURATIONS}
    wanted |= set(rate_coding.MODES) if spikingjelly and not only else set()
    return [name for name in NAMES if name in wanted]


def _measure(name: str, subject: Subject, progress: Progress) -> Row:
    if name in rate_coding.MODES:
        from benchmarks.torch_resnet20 import from_onnx

        network = from_onnx(subject.path, subject.images.calibration)
        return rate_coding.measure(name, network, subject, progress)
    configuration = next(c for c in CONFIGURATIONS if c.name == name)
    return measure(configuration, subject, progress)


def _setup(subject: Subject) -> dict[str, object]:
    digest = hashlib.sha256(subject.path.read_bytes()).hexdigest()
    return {
        "network": f"{subject.path.name}, sha256 {digest[:16]}",
        "test images": len(subject.images.test),
        "calibration images": len(subject.images.calibration),
        "accuracy of the trained network": subject.accuracy,
    }


def _command(options: argparse.Namespace, rows: Iterable[str]) -> str:
    """The command that makes the whole file anew."""
    parts = ["python -m benchmarks.resnet20"]
    parts += [f"--images {options.images}"] if options.images else []
    parts += ["--spikingjelly"] if set(rows) & set(rate_coding.MODES) else []
    return " ".join(parts)


def _summary(row: Row) -> str:
    points = (f"T={t} {point.accuracy:.4f}/{point.agreement:.4f}" for t, point in row.points.items())
    return f"{', '.join(points)} ({row.seconds:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
