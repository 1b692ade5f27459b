"""How the time of a run grows with the number of steps: one artifact at several T, in turn."""

from collections.abc import Callable, Sequence

from benchmarks.speed.field import Cell, precisions
from benchmarks.speed.networks import feeds
from benchmarks.speed.row import Row, described
from benchmarks.speed.table import line, seconds_text, setups
from spikec.contenders import session_run
from spikec.runtime import Session
from spikec.timing import Contender, Work, race


def growth(cell: Cell, times: Sequence[int], runs: int, told: Callable[[str], None]) -> list[str]:
    """The Markdown lines of one network's growth, one row for each precision that the device has.

    Runs of all ``times`` (ascending) come from one session for each precision, on the artifact of the longest; they
    take turns, so that a drifting machine changes no ratio.
    """
    row = described(Row(cell.files.network, cell.batch, times[-1], cell.device))
    lines = [f"# Growth with T of {cell.files.network}", ""]
    lines += [f"Batch {cell.batch}, layer by layer; medians of {runs} runs in turn, a first one left out.", ""]
    lines += [*setups([row]), "", line(["precision", *(f"T = {t}, s" for t in times), "growth"])]
    lines += [line(["---"] * (len(times) + 2))]
    for precision in precisions(cell.device).values():
        timings = race(_contenders(cell, precision, times), runs, cell.limit, told=told)
        lines.append(_grown(precision, [timings[_title(precision, t)].seconds for t in times]))
    return [*lines, ""]


def _contenders(cell: Cell, precision: str, times: Sequence[int]) -> list[Contender]:
    path = cell.files.required(cell.files.artifact(times[-1]))
    session = Session(path, device=cell.device, precision=precision, evaluation="layers")
    fed = feeds(path, cell.batch)

    def work(steps: int) -> Callable[[], Work]:
        return lambda: session_run(session, fed, steps)

    return [Contender(_title(precision, t), work(t)) for t in times]


def _title(precision: str, steps: int) -> str:
    return f"{precision}, T = {steps}"


def _grown(precision: str, seconds: Sequence[float | None]) -> str:
    first, last = seconds[0], seconds[-1]
    grown = f"{last / first:.2f}" if first and last else "-"
    return line([precision, *map(seconds_text, seconds), grown])
