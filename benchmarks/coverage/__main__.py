"""Converts the smallest model of each of timm's families: ``python -m benchmarks.coverage``.

See ``docs/benchmarks.md``.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from rich import progress as bars

from benchmarks.command import exit_code, progress_bar
from benchmarks.coverage.row import Row, measure
from benchmarks.coverage.table import load, save, summary
from benchmarks.datasets import VARIABLE, data_folder, required
from spikec.errors import UsageError

OUTPUT = Path(__file__).parents[1] / "results" / "coverage.md"
FAMILIES = "timm_families.csv"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are missing, write the results, and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code("coverage", partial(_one_row if options.row else _benchmark, options))


def _one_row(options: argparse.Namespace) -> None:
    family, model, parameters = options.row.split(",")
    print(json.dumps(measure(family, model, int(parameters), not options.levels_only).as_dict()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help=f"data folder (else ${VARIABLE}, else ../shared/data)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw rows go beside it as .json")
    parser.add_argument("--only", action="append", metavar="FAMILY", help="measure this family anew, keep the others")
    parser.add_argument("--anew", action="store_true", help="measure every row anew; else those on file are kept")
    parser.add_argument("--limit", type=int, default=1200, metavar="S", help="seconds after which a row is given up")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="rows measured at the same time")
    parser.add_argument("--levels-only", action="store_true", help="check levels 1 to 3, run no time steps")
    parser.add_argument("--row", help=argparse.SUPPRESS)  # FAMILY,MODEL,PARAMETERS: one row, to standard output
    return parser


def _benchmark(options: argparse.Namespace) -> None:
    path = required(data_folder(options.data), FAMILIES)
    with path.open() as file:
        families = {entry["family"]: entry for entry in csv.DictReader(file)}
    rows = {} if options.anew else load(options.output.with_suffix(".json"))
    wanted = _wanted(options.only, families, rows)
    command = "python -m benchmarks.coverage"
    with progress_bar(bars.MofNCompleteColumn()) as bar, ThreadPoolExecutor(options.jobs) as pool:
        task = bar.add_task("families", total=len(wanted))
        pending = [pool.submit(_in_process, families[name], options.limit, options.levels_only) for name in wanted]
        for done in as_completed(pending):
            row = done.result()
            rows[row.family] = row
            save(options.output, rows, command, len(families))
            bar.console.print(_told(row), soft_wrap=True)
            bar.advance(task)
    save(options.output, rows, command, len(families))
    bar.console.print("\n".join([*summary(rows, len(families)), f"written: {options.output}"]), soft_wrap=True)


def _wanted(only: Sequence[str] | None, families: dict[str, dict[str, str]], rows: dict[str, Row]) -> list[str]:
    unknown = set(only or ()) - set(families)
    if unknown:
        raise UsageError(f"there is no family {', '.join(sorted(unknown))}; choose among {', '.join(families)}")
    small_first = sorted(families, key=lambda name: int(families[name]["parameters"]))
    return [name for name in small_first if (name in only if only else name not in rows)]


def _in_process(entry: dict[str, str], limit: int, levels_only: bool) -> Row:
    """A row measured in a process of its own: a model too large for the machine costs its own row only."""
    family, model, parameters = entry["family"], entry["model"], int(entry["parameters"])
    command = [sys.executable, "-m", "benchmarks.coverage", "--row", f"{family},{model},{parameters}"]
    command += ["--levels-only"] if levels_only else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return Row(family, model, parameters, reason=f"given up after {limit} s", seconds=limit)
    if done.returncode:
        tail = (done.stderr.strip().splitlines() or [""])[-1]
        return Row(family, model, parameters, reason=f"the process ended with {done.returncode}: {tail[:200]}")
    return Row.of(json.loads(done.stdout.strip().splitlines()[-1]))


def _told(row: Row) -> str:
    distances = ", ".join(f"T={t} {value:.4f}" for t, value in row.distances.items())
    return f"{row.family}: {row.reason or distances} ({row.seconds:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
