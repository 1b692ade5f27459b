"""The Markdown report: for each network its tables, what is behind, and why rows are missing."""

from collections.abc import Callable, Mapping

from benchmarks.accuracy.results import Measured
from benchmarks.accuracy.row import TIMES, Point, Row

DEFAULT = "default"
_LEGEND = (
    "Events: per neuron and step. Operations: synaptic operations per image, in millions (an addition for each weight",
    "that an event passes), beside the trained network's multiply-accumulates. See `docs/benchmarks.md`.",
)


def markdown(networks: Mapping[str, Measured], titles: Mapping[str, str], command: str) -> str:
    """The whole report; ``titles`` by name of the network, ``command`` remakes it."""
    lines = [
        "# Accuracy over time steps",
        "",
        f"Made by `{command}` (one row anew: `--network NAME --only ROW`); do not edit.",
        "",
        *_LEGEND,
        "",
        *(f"- versions: {text}" for text in _versions(networks)),
    ]
    for name, measured in networks.items():
        lines += ["", f"## {titles[name]}", "", *_network(measured)]
    return "\n".join([*lines, ""])


def behind(rows: Mapping[str, Row]) -> str:
    """Where the default configuration is not the most accurate of all, in one line."""
    if not rows.get(DEFAULT, Row("")).points:
        return "There is no row `default` to compare with."
    leaders: dict[str, list[int]] = {}
    for t, own in rows[DEFAULT].points.items():
        best = max(rows, key=lambda name: rows[name].points[t].accuracy if t in rows[name].points else -1.0)
        if rows[best].points[t].accuracy > own.accuracy:
            leaders.setdefault(best, []).append(t)
    if not leaders:
        return "No row is more accurate than `default` at any T."
    return "; ".join(f"`default` is behind `{name}` at T = {_list(times)}" for name, times in leaders.items()) + "."


def _network(measured: Measured) -> list[str]:
    rows = {name: row for name, row in measured.rows.items() if row.points}
    refused = {name: row for name, row in measured.rows.items() if not row.points}
    return [
        *(f"- {key}: {value}" for key, value in measured.setup.items()),
        f"- trained network: accuracy {measured.accuracy:.4f}, {measured.macs / 1e6:.1f} M multiply-accumulates",
        "",
        "Accuracy / agreement with the trained network's answers:",
        "",
        *_table(rows, lambda point: f"{point.accuracy:.4f} / {point.agreement:.4f}"),
        "",
        behind(rows),
        "",
        "Relative L2 distance of the logits / events / operations:",
        "",
        *_table(rows, lambda point: f"{point.distance:.3f} / {point.rate:.3f} / {_millions(point)}"),
        "",
        "| row | what it is | seconds | measured |",
        "|---|---|---|---|",
        *(f"| {name} | {row.what} | {row.seconds:.0f} | {row.date} |" for name, row in rows.items()),
        *(["", "Not measured:", ""] if refused else []),
        *(f"- {name} ({row.what}): {row.reason}" for name, row in refused.items()),
    ]


def _table(rows: Mapping[str, Row], cell: Callable[[Point], str]) -> list[str]:
    times = sorted({t for row in rows.values() for t in row.points} or TIMES)
    lines = [f"| row | {' | '.join(f'T = {t}' for t in times)} |", f"|---|{'---|' * len(times)}"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(cell(row.points[t]) if t in row.points else '-' for t in times)} |")
    return lines


def _millions(point: Point) -> str:
    return "-" if point.operations is None else f"{point.operations / 1e6:.1f}"


def _versions(networks: Mapping[str, Measured]) -> list[str]:
    """Every set of versions that a row was measured with."""
    rows = (row for measured in networks.values() for row in measured.rows.values())
    return list(dict.fromkeys(", ".join(f"{tool} {number}" for tool, number in row.tools.items()) for row in rows))


def _list(times: list[int]) -> str:
    return ", ".join(map(str, times))
