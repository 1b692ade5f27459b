"""The result as a Markdown page: for a pull request's comment or a job's summary."""

from collections.abc import Iterable

from spikec.checking.result import CheckResult
from spikec.checking.rows import COLUMNS, RIGHT, rows


def markdown(result: CheckResult) -> str:
    """A heading, the verdict, and a table of all metrics."""
    lines = [f"# spikec check: {result.status}", "", f"`{result.command}`", ""]
    if result.reason:
        lines += [f"**{_cell(result.reason)}**", ""]
    if result.measurements:
        samples = f"{result.data.samples} samples of {result.data.origin}, thresholds: {result.thresholds}"
        lines += [_cell(samples), "", _line(COLUMNS), _line("---:" if c in RIGHT else "---" for c in COLUMNS)]
        lines += [_line(row) for row in rows(result)]
    lines += ["", *(f"- {_cell(warning)}" for warning in result.warnings)] if result.warnings else []
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """Text that cannot end a cell or begin markup."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
