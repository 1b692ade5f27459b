"""The results file: raw numbers as JSON, and the Markdown table made from them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measurement import TIMES, Point, Row
from spikec.errors import UsageError


@dataclass
class Results:
    """Rows by name, and what they have in common: network, images, accuracy of the trained network.

    Rows measured on something else must not stand in one table: ``setup`` is compared when an older file is taken up.
    """

    title: str
    setup: dict[str, Any]
    rows: dict[str, Row] = field(default_factory=dict)

    def keep_from(self, path: Path) -> None:
        """Take over the rows of an older results file.

        Raises:
            UsageError: the file is no results file, or its rows were measured on another network or other images.
        """
        try:
            raw = json.loads(path.read_text())
            setup, rows = raw["setup"], {name: Row.of(row) for name, row in raw["rows"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is no results file of this benchmark ({error}); remove it") from error
        # figures (of type float) may differ in the last digit between versions of the tools
        compared = [key for key, value in self.setup.items() if not isinstance(value, float)]
        different = [key for key in compared if setup.get(key) != self.setup[key]]
        if different:
            was = ", ".join(f"{key} {setup.get(key)} instead of {self.setup[key]}" for key in different)
            raise UsageError(
                f"the rows in {path} were measured with {was}; measure all rows anew, or give another --output"
            )
        self.rows |= rows

    def save(self, path: Path, order: Iterable[str], command: str) -> None:
        """Write the Markdown file ``path`` and the raw numbers beside it, rows in ``order``; ``command`` remakes it."""
        self.rows = {name: self.rows[name] for name in order if name in self.rows}
        rows = {name: row.as_dict() for name, row in self.rows.items()}
        raw = {"title": self.title, "command": command, "setup": self.setup, "rows": rows}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
        path.write_text(self.markdown(command))

    def markdown(self, command: str) -> str:
        """The whole file."""
        return "\n".join(
            [
                f"# {self.title}",
                "",
                f"Made by `{command}` (one row anew: `--only NAME`); do not edit.",
                "",
                *(f"- {key}: {_show(value)}" for key, value in self.setup.items()),
                *_versions(self.rows),
                "",
                "Accuracy / agreement with the trained network's answers:",
                "",
                *_table(self.rows, lambda point: f"{point.accuracy:.4f} / {point.agreement:.4f}"),
                "",
                "Relative L2 distance of the logits from the trained network's / events per neuron and step:",
                "",
                *_table(self.rows, lambda point: f"{point.distance:.3f} / {_rate(point)}"),
                "",
                *_settings(self.rows),
                "",
            ]
        )


def _table(rows: dict[str, Row], cell: Callable[[Point], str]) -> list[str]:
    lines = [f"| configuration | {' | '.join(f'T = {t}' for t in TIMES)} |", f"|---|{'---|' * len(TIMES)}"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(cell(row.points[t]) for t in TIMES)} |")
    return lines


def _settings(rows: dict[str, Row]) -> list[str]:
    lines = ["| configuration | what it is | seconds | measured |", "|---|---|---|---|"]
    return lines + [f"| {name} | {row.what} | {row.seconds:.0f} | {row.date} |" for name, row in rows.items()]


def _versions(rows: dict[str, Row]) -> list[str]:
    """One line, or one for each set of versions that rows were measured with."""
    groups: dict[str, list[str]] = {}
    for name, row in rows.items():
        groups.setdefault(", ".join(f"{tool} {number}" for tool, number in row.tools.items()), []).append(name)
    return [f"- versions{_of(names) if len(groups) > 1 else ''}: {text}" for text, names in groups.items()]


def _of(names: list[str]) -> str:
    return f" ({', '.join(names)})"


def _rate(point: Point) -> str:
    return "-" if point.rate is None else f"{point.rate:.3f}"


def _show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
