"""The table of a check, cell by cell, for the terminal and for Markdown."""

from spikec.checking.result import CheckResult
from spikec.checking.verdict import FREE, Measurement

COLUMNS = ("output", "T", "metric", "measured", "threshold", "would pass", "verdict")
RIGHT = ("T", "measured", "threshold", "would pass")


def rows(result: CheckResult) -> list[list[str]]:
    """A row for each metric."""
    return [_row(row) for row in result.measurements]


def _row(row: Measurement) -> list[str]:
    asked = "" if row.threshold is None else f"{row.key} = {row.threshold:g} ({row.origin})"
    verdict = "" if row.verdict == FREE else row.verdict
    return [
        row.output or "(network)",
        str(row.steps),
        row.metric,
        "-" if row.value is None else f"{row.value:.6g}",
        asked,
        "" if row.would_pass is None else f"{row.would_pass:g}",
        verdict if row.note is None else f"{verdict}: {row.note}",
    ]
