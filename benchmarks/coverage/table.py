"""The results file of the coverage benchmark: raw rows as JSON, and the Markdown table made from them."""

import json
from importlib.metadata import version
from pathlib import Path

from benchmarks.coverage.row import TIMES, Row

NEAR = 0.05  # relative distance to the ANN at the last T that counts as near
_TOOLS = ("spikec", "timm", "torch", "onnxruntime", "onnx")


def load(path: Path) -> dict[str, Row]:
    """Rows by family of an earlier run, none where there is no file."""
    if not path.is_file():
        return {}
    return {name: Row.of(raw) for name, raw in json.loads(path.read_text())["rows"].items()}


def save(path: Path, rows: dict[str, Row], command: str, listed: int) -> None:
    """Write the Markdown file ``path`` and the raw rows beside it; ``listed`` families are to be measured in all."""
    ordered = {name: rows[name] for name in sorted(rows)}
    tools = {name: version(name) for name in _TOOLS}
    raw = {"command": command, "tools": tools, "rows": {name: row.as_dict() for name, row in ordered.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
    path.write_text(markdown(ordered, command, tools, listed))


def markdown(rows: dict[str, Row], command: str, tools: dict[str, str], listed: int) -> str:
    """The whole file."""
    lines = [
        "# Coverage of the timm zoo",
        "",
        f"Made by `{command}`; do not edit. The smallest model of each of timm's families, with random weights, at its",
        "own input size. A row is measured on two samples of standard normal numbers, calibrated on four others.",
        "",
        f"- versions: {', '.join(f'{name} {number}' for name, number in tools.items())}",
        *summary(rows, listed),
        "",
        "Levels: the largest relative L2 distance of any level from the source. Distance: of the SNN's output from the",
        "ANN's. Variation: how much of the ANN's output differs between the samples, in the same measure.",
        "",
        f"| family | model | neurons per sample | levels | {' | '.join(f'T = {t}' for t in TIMES)} | variation | s |",
        f"|---|---|---|---|{'---|' * len(TIMES)}---|---|",
        *(_line(row) for row in rows.values()),
        "",
        "## What stopped a row, and how some were judged",
        "",
        *(f"- {row.family} ({row.model}): {'; '.join(told)}" for row in rows.values() if (told := _told(row))),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def summary(rows: dict[str, Row], listed: int) -> list[str]:
    """The shares that the table shows, as a list."""
    exported = [row for row in rows.values() if row.stage != "none"]
    converted = [row for row in exported if row.stage in ("levels", "run")]
    near = [row for row in exported if row.distances.get(TIMES[-1], float("inf")) < NEAR]
    return [
        f"- families: {len(rows)} of {listed} measured; torch exports {len(exported)} of those",
        f"- of those, {_share(converted, exported)} convert with levels 1 to 3 equal to the source",
        f"- of those that torch exports, {_share(near, exported)} are within {NEAR:.0%} of the ANN at T = {TIMES[-1]}; "
        f"of those that ran over time, {_share(near, [row for row in exported if row.distances])}",
    ]


def _told(row: Row) -> list[str]:
    """What is to be said of a row: how it was measured, what stopped it, and what to do where it is not near."""
    distance = row.distances.get(TIMES[-1], 0.0)
    far = f"{distance:.1%} from the ANN at T = {TIMES[-1]}: take more steps, or ask `spikec explain` for the neuron"
    return [*row.notes, *([row.reason] if row.reason else []), *([far] if distance >= NEAR else [])]


def _share(part: list[Row], whole: list[Row]) -> str:
    return f"{len(part)} ({len(part) / len(whole):.1%})" if whole else "0"


def _line(row: Row) -> str:
    levels = "-" if row.levels is None else f"{row.levels:.0e}"
    distances = " | ".join(f"{row.distances[t]:.4f}" if t in row.distances else "-" for t in TIMES)
    variation = "-" if row.variation is None else f"{row.variation:.3f}"
    neurons = "-" if row.neurons is None else f"{row.neurons:,}"
    return f"| {row.family} | {row.model} | {neurons} | {levels} | {distances} | {variation} | {row.seconds:.0f} |"
