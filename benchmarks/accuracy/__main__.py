"""Accuracy of converted networks over time steps, beside other converters: ``python -m benchmarks.accuracy``.

See ``docs/benchmarks.md``.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich import progress as bars

from benchmarks.accuracy import results
from benchmarks.accuracy.converters import CONVERTERS, check_installed, measure
from benchmarks.accuracy.networks import CACHE, NETWORKS, Network, Source
from benchmarks.accuracy.plot import plot
from benchmarks.accuracy.results import Measured, check_setup, setup_of
from benchmarks.accuracy.row import TIMES, Row
from benchmarks.accuracy.spikingjelly_package import synapses_of
from benchmarks.accuracy.subject import Subject
from benchmarks.accuracy.table import markdown
from benchmarks.command import check_device, exit_code, progress_bar
from benchmarks.datasets import VARIABLE
from spikec.errors import UsageError

OUTPUT = Path(__file__).parents[1] / "results" / "accuracy.md"
_NAMES = tuple(network.name for network in NETWORKS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are missing, write the results, and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code("accuracy", partial(_benchmark, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", metavar="NAME", help=f"only this one: {', '.join(_NAMES)}")
    parser.add_argument(
        "--only",
        action="append",
        metavar="ROW",
        help=f"measure this row anew, keep the others: {', '.join(CONVERTERS)}",
    )
    parser.add_argument("--anew", action="store_true", help="measure every row anew; else those on file are kept")
    parser.add_argument("--images", type=int, metavar="N", help="test images, from the first on (all by default)")
    parser.add_argument("--steps", type=_times, default=TIMES, metavar="T,T", help="numbers of steps (2,4,...,64)")
    parser.add_argument("--data", metavar="FOLDER", help=f"data folder (else ${VARIABLE}, else ../shared/data)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for networks that are trained here")
    parser.add_argument("--device", default="cpu", help="where spikec's own rows run: cpu, cuda or cuda:N")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; .json and .svg go beside it")
    return parser


def _benchmark(options: argparse.Namespace) -> None:
    wanted = _chosen(options.network, _NAMES, "network")
    rows = _chosen(options.only, tuple(CONVERTERS), "row")
    if options.images is not None and options.images < 1:
        raise UsageError(f"{options.images} test images asked; give at least 1")
    check_installed(rows)
    check_device(options.device)
    kept = results.load(options.output.with_suffix(".json"))
    with progress_bar(bars.TaskProgressColumn()) as bar:
        for network in (network for network in NETWORKS if network.name in wanted):
            _measure(network, rows, kept, options, bar)
    bar.console.print(f"written: {options.output}, and .json and .svg beside it", soft_wrap=True)


def _measure(
    network: Network, rows: Sequence[str], kept: dict[str, Measured], options: argparse.Namespace, bar: bars.Progress
) -> None:
    """The rows of one network that are wanted and not on file."""
    subject = _load(network, options, bar)
    before = kept.get(network.name)
    if before is None or (options.anew and not options.only):
        kept[network.name] = Measured(setup_of(subject), subject.accuracy, synapses_of(subject).macs)
    else:
        check_setup(network.name, before, setup_of(subject))
    measured = kept[network.name]
    for name in (name for name in rows if options.only or name not in measured.rows):
        task = bar.add_task(f"{network.name}, {name}", total=None)
        measured.rows[name] = measure(name, subject, options.steps, partial(_show, bar, task))
        _write(options, kept)
        bar.update(task, total=1, completed=1)
        bar.console.print(f"{network.name}, {name}: {_told(measured.rows[name])}", soft_wrap=True)
    _write(options, kept)


def _load(network: Network, options: argparse.Namespace, bar: bars.Progress) -> Subject:
    task = bar.add_task(f"{network.name}: loading", total=None)
    subject = network.load(Source(options.data, options.cache, options.images, partial(_show, bar, task)))
    bar.remove_task(task)
    return replace(subject, device=options.device)


def _write(options: argparse.Namespace, kept: dict[str, Measured]) -> None:
    """All three files, networks and rows in the benchmark's order."""
    ordered = {name: kept[name] for name in _NAMES if name in kept}
    for measured in ordered.values():
        measured.rows = {name: measured.rows[name] for name in CONVERTERS if name in measured.rows}
    command = "python -m benchmarks.accuracy" + (f" --images {options.images}" if options.images else "")
    command += f" --steps {','.join(map(str, options.steps))}" if options.steps != TIMES else ""
    titles = {network.name: network.title for network in NETWORKS}
    results.save(options.output.with_suffix(".json"), ordered, command)
    options.output.write_text(markdown(ordered, titles, command))
    plot(ordered, titles, options.output.with_suffix(".svg"))


def _times(text: str) -> tuple[int, ...]:
    times = tuple(sorted({int(item) for item in text.split(",")}))
    if times[0] < 1:
        raise ValueError(f"{times[0]} steps")
    return times


def _chosen(asked: Sequence[str] | None, names: Sequence[str], what: str) -> list[str]:
    unknown = set(asked or ()) - set(names)
    if unknown:
        raise UsageError(f"there is no {what} {', '.join(sorted(unknown))}; choose among {', '.join(names)}")
    return [name for name in names if not asked or name in asked]


def _show(bar: bars.Progress, task: bars.TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _told(row: Row) -> str:
    points = (f"T={t} {point.accuracy:.4f}/{point.agreement:.4f}" for t, point in row.points.items())
    return row.reason or f"{', '.join(points)} ({row.seconds:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
