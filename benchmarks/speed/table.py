"""The results file of the speed benchmark: raw rows as JSON, and the Markdown tables made from them."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.speed.field import CONTENDERS
from benchmarks.speed.row import Row
from spikec.errors import UsageError
from spikec.timing import Timing

Rows = dict[tuple[str, str, int, int], Row]
_LEGEND = (
    "Seconds of a run of T steps (of T passes, for the trained network), and in brackets the ratio to T passes of the",
    "fastest dense engine in float32; on CUDA, bfloat16 is compared with torch.compile in bfloat16. Medians of calls",
    "in turn, the first one (compilation, warm-up) left out. See `docs/benchmarks.md`.",
)


def load(path: Path) -> Rows:
    """Rows of an earlier run, none where there is no file.

    Raises:
        UsageError: the file is no results file.
    """
    if not path.is_file():
        return {}
    try:
        rows = [Row.of(raw) for raw in json.loads(path.read_text())["rows"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no results file of this benchmark ({error}); remove it") from error
    return {row.key: row for row in rows}


def save(path: Path, rows: Rows, command: str) -> None:
    """Write the Markdown file ``path`` and the raw rows beside it."""
    ordered = [rows[key] for key in sorted(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = {"command": command, "rows": [row.as_dict() for row in ordered]}
    path.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
    path.write_text(markdown(ordered, command))


def markdown(rows: Iterable[Row], command: str) -> str:
    """The whole file: a table for each device with what it was measured on, and why cells are empty."""
    rows = list(rows)
    lines = ["# Speed", "", f"Made by `{command}`; do not edit.", "", *_LEGEND]
    for device in dict.fromkeys(row.device for row in rows):
        some = [row for row in rows if row.device == device]
        lines += ["", f"## {device}", "", *setups(some), "", *table(some), "", "Peak memory, MiB:", "", *memory(some)]
        lines += ["", "First call, seconds (compilation and warm-up):", "", *first_calls(some)]
    reasons = [text for row in rows for text in _reasons(row)]
    return "\n".join([*lines, *(["", "## Cells that are empty", "", *reasons] if reasons else []), ""])


def table(rows: list[Row]) -> list[str]:
    """Seconds and ratios, a line for each row."""
    return _table(rows, _time)


def memory(rows: list[Row]) -> list[str]:
    """What a run takes beyond what was held before it."""
    return _table(rows, lambda row, name: _mebibytes(row.timings[name]))


def first_calls(rows: list[Row]) -> list[str]:
    """What the warm-up took."""
    return _table(rows, lambda row, name: seconds_text(row.timings[name].first))


def _table(rows: list[Row], cell: Callable[[Row, str], str]) -> list[str]:
    names = [name for name in CONTENDERS if any(name in row.timings for row in rows)]
    head = ["network", "batch", "T", *names]
    lines = [line(head), "|" + "---|" * len(head)]
    for row in rows:
        cells = [cell(row, name) if name in row.timings else "-" for name in names]
        lines.append(line([row.network, str(row.batch), str(row.steps), *cells]))
    return lines


def line(cells: Iterable[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _time(row: Row, name: str) -> str:
    seconds, ratio = row.timings[name].seconds, row.ratio(name)
    return seconds_text(seconds) + (f" ({ratio:.2f})" if ratio is not None else "")


def seconds_text(value: float | None) -> str:
    """A time as tables show it."""
    return "-" if value is None else f"{value:.3g}"


def _mebibytes(timing: Timing) -> str:
    return "-" if timing.peak is None else f"{timing.peak / 2**20:,.0f}"


def setups(rows: list[Row]) -> list[str]:
    """What the rows were measured on, a line for each machine and day."""
    texts = (
        f"- {row.machine}, {row.threads} threads, {row.date}: "
        + ", ".join(f"{tool} {number}" for tool, number in row.tools.items())
        for row in rows
    )
    return list(dict.fromkeys(texts))


def _reasons(row: Row) -> list[str]:
    where = f"{row.device}, {row.network}, batch {row.batch}, T = {row.steps}"
    cells = [f"- {where}, {name}: {timing.reason}" for name, timing in row.timings.items() if timing.reason]
    return ([f"- {where}: {row.reason}"] if row.reason else []) + cells
