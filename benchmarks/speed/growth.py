"""How the time of a run grows with the number of steps: one artifact at several T, in turn."""

from collections.abc import Callable, Sequence

from benchmarks.speed.field import PRECISIONS, Cell, usual
from benchmarks.speed.networks import feeds
from benchmarks.speed.row import Row, described
from benchmarks.speed.table import setups
from spikec.contenders import session_run
from spikec.runtime import Session
from spikec.timing import Contender, Timings, Work, race


def growth(cell: Cell, times: Sequence[int], runs: int, told: Callable[[str], None]) -> list[str]:
    """The Markdown lines of one network's growth, one row for each precision that the device has.

    Runs of all ``times`` (ascending) come from one session for each precision, on the artifact of the longest; they
    take turns, so that a drifting machine changes no ratio.
    """
    names = [name for name in usual(cell.device) if name in PRECISIONS]
    row = described(Row(cell.files.network, cell.batch, times[-1], cell.device))
    lines = [f"# Growth with T of {cell.files.network}", ""]
    lines += [f"Batch {cell.batch}, layer by layer; medians of {runs} runs in turn, a first one left out.", ""]
    lines += [*setups([row]), "", _cells(["precision", *(f"T = {t}, s" for t in times), "growth"])]
    lines += [_cells(["---"] * (len(times) + 2))]
    for name in names:
        lines.append(_line(name, race(_contenders(cell, name, times), runs, cell.limit, told=told), times))
    return [*lines, ""]


def _contenders(cell: Cell, name: str, times: Sequence[int]) -> list[Contender]:
    path = cell.files.required(cell.files.artifact(times[-1]))
    session = Session(path, device=cell.device, precision=PRECISIONS[name], evaluation="layers")
    fed = feeds(path, cell.batch)

    def work(steps: int) -> Callable[[], Work]:
        return lambda: session_run(session, fed, steps)

    return [Contender(_title(name, t), work(t)) for t in times]


def _title(name: str, steps: int) -> str:
    return f"{name}, T = {steps}"


def _line(name: str, timings: Timings, times: Sequence[int]) -> str:
    seconds = [timings[_title(name, t)].seconds for t in times]
    first, last = seconds[0], seconds[-1]
    grown = f"{last / first:.2f}" if first and last else "-"
    return _cells([PRECISIONS[name], *("-" if s is None else f"{s:.3g}" for s in seconds), grown])


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
