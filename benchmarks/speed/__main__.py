"""Times converted networks beside T passes of the trained ones: ``python -m benchmarks.speed``.

See ``docs/benchmarks.md``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from benchmarks.command import check_device, exit_code
from benchmarks.speed.field import CONTENDERS, Cell, usual
from benchmarks.speed.growth import growth
from benchmarks.speed.networks import FOLDER, NETWORKS, Files, known
from benchmarks.speed.profiling import profile
from benchmarks.speed.row import Row, machine, measure
from benchmarks.speed.table import Rows, load, save, table
from spikec.errors import EnvironmentMissing, UsageError

OUTPUT = Path(__file__).parents[1] / "results" / "speed.md"
COMMAND = "python -m benchmarks.speed"
BATCHES, TIMES = (1, 8, 32), (4, 16, 64)
_STARTING = 300  # seconds that a row's process has for itself


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the rows that are missing, write the results, and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code("speed", partial(_one_row if options.row else _benchmark, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.splitlines()[0])
    parser.add_argument("--network", action="append", metavar="NAME", help=f"one of {', '.join(NETWORKS)}")
    parser.add_argument("--batch", action="append", type=int, metavar="N", help="samples at once (1, 8 and 32)")
    parser.add_argument("--steps", action="append", type=int, metavar="T", help="time steps (4, 16 and 64)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--contender", action="append", metavar="NAME", help=f"one of {', '.join(CONTENDERS)}")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="calls of each contender that count")
    parser.add_argument("--limit", type=float, default=120, metavar="S", help="seconds a contender has for its calls")
    parser.add_argument("--make", type=Path, metavar="FOLDER", help="only make the artifacts, into this folder")
    parser.add_argument("--artifacts", type=Path, metavar="FOLDER", help="artifacts made before; else they are made")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw rows go beside it as .json")
    parser.add_argument("--anew", action="store_true", help="time the asked rows anew; else those on file are kept")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--profile", choices=NETWORKS, help="only say where the time of one network's run goes")
    alone.add_argument("--growth", choices=NETWORKS, help="only say how one network's time grows with T (16 and 64)")
    parser.add_argument("--row", help=argparse.SUPPRESS)  # NETWORK,BATCH,T: one row, to standard output
    return parser


def _benchmark(options: argparse.Namespace) -> None:
    alone = options.profile or options.growth
    default = (16,) if options.profile else TIMES[1:] if options.growth else TIMES
    networks, times = known([alone] if alone else options.network), _counts(options.steps or default, "steps")
    batches, names = _counts(options.batch or BATCHES, "batch"), _names(options)
    if options.make or not options.artifacts:
        for network in networks:
            _make(options.make or FOLDER, network, times[-1:] if options.growth else times)
    if options.make:
        return
    check_device(options.device)
    if alone:
        (_profile if options.profile else _growth)(options, times)
        return
    rows = load(options.output.with_suffix(".json"))
    wanted = [(network, batch, steps) for network in networks for batch in batches for steps in times]
    for network, batch, steps in wanted:
        if (options.device, network, batch, steps) in rows and not options.anew:
            continue
        row = _in_process(options, Row(network, batch, steps, options.device), names)
        rows[row.key] = row
        save(options.output, rows, COMMAND)
    _tell(rows, {(options.device, *key) for key in wanted}, options.output)


def _profile(options: argparse.Namespace, times: Sequence[int]) -> None:
    lines = profile(_cell(options, options.profile, times[0]), _tell_name)
    _write_alone(options, f"profile_{options.profile}", lines)


def _growth(options: argparse.Namespace, times: Sequence[int]) -> None:
    lines = growth(_cell(options, options.growth, times[-1]), times, options.runs, _tell_name)
    _write_alone(options, f"growth_{options.growth}", lines)


def _cell(options: argparse.Namespace, network: str, steps: int) -> Cell:
    files = Files(options.artifacts or FOLDER, network)
    return Cell(files, (options.batch or [8])[0], steps, options.device, options.limit)


def _tell_name(name: str) -> None:
    print(f"  {name}", file=sys.stderr)


def _write_alone(options: argparse.Namespace, name: str, lines: Sequence[str]) -> None:
    """Into a file of its own, beside the tables."""
    path = options.output.with_name(f"{name}_{options.device.replace(':', '')}.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    print("\n".join([*lines, f"written: {path}"]))


def _tell(rows: Rows, keys: set[tuple[str, str, int, int]], output: Path) -> None:
    print("\n".join([*table([rows[key] for key in sorted(keys)]), f"written: {output}"]))


def _counts(values: Sequence[int], what: str) -> list[int]:
    if any(value < 1 for value in values):
        raise UsageError(f"--{what} must be at least 1")
    return sorted(set(values))


def _names(options: argparse.Namespace) -> list[str]:
    unknown = [name for name in options.contender or () if name not in CONTENDERS]
    if unknown:
        raise UsageError(f"there is no contender '{unknown[0]}'; choose among {', '.join(CONTENDERS)}")
    return list(options.contender or usual(options.device))


def _make(folder: Path, network: str, times: Sequence[int]) -> None:
    """In a process of its own: the compiler's memory and threads must not stay beside what is timed."""
    code = "import sys; from pathlib import Path; from benchmarks.speed.making import make; "
    code += f"make(Path({str(folder)!r}), {network!r}, {list(times)!r}, lambda text: print(text, file=sys.stderr))"
    if subprocess.run([sys.executable, "-c", code]).returncode:
        raise EnvironmentMissing(f"the artifacts of {network} could not be made here; see above, or give --artifacts")


def _in_process(options: argparse.Namespace, row: Row, names: Sequence[str]) -> Row:
    """The row measured in a process of its own: one that takes too much memory or time costs its own row only."""
    command = [sys.executable, "-m", "benchmarks.speed", "--row", f"{row.network},{row.batch},{row.steps}"]
    command += ["--device", options.device, "--runs", str(options.runs), "--limit", str(options.limit)]
    command += ["--artifacts", str(options.artifacts or FOLDER)]
    command += [word for name in names for word in ("--contender", name)]
    print(f"{row.network}, batch {row.batch}, T = {row.steps}", file=sys.stderr)
    limit = _STARTING + options.limit * len(names)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=limit)
        said, reason = done.stdout, f"its process ended with {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        said, reason = error.stdout or b"", f"given up after {limit:g} s"
    rounds = [line for line in said.decode().splitlines() if line.startswith("{") and line.endswith("}")]
    row = Row.of(json.loads(rounds[-1])) if rounds else row
    row.reason, row.machine = reason, row.machine or machine(row.device)
    return row


def _one_row(options: argparse.Namespace) -> None:
    network, batch, steps = options.row.split(",")
    cell = Cell(Files(options.artifacts, network), int(batch), int(steps), options.device, options.limit)
    kept = partial(_print_row, sys.stdout)
    measure(cell, options.contender, options.runs, _tell_name, kept)


def _print_row(stream: TextIO, row: Row) -> None:
    print(json.dumps(row.as_dict()), file=stream, flush=True)


if __name__ == "__main__":
    sys.exit(main())
