"""The page: tables and pictures of a report in one HTML file that needs no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikec.checking.kinds import CHOICES, CLASSES
from spikec.checking.result import GOOD
from spikec.checking.rows import COLUMNS, RIGHT, rows
from spikec.ledger import PRESETS, joules, sentence
from spikec.reporting import pictures
from spikec.reporting.content import Content
from spikec.reporting.drawing import check_installed
from spikec.reporting.photographs import photographs

WORST = 10  # layers in the table, of which the page gives advice for the first three


def render(content: Content) -> str:
    """The report as HTML.

    Raises:
        EnvironmentMissing: matplotlib or jinja2 is not installed.
    """
    check_installed()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("spikec.reporting", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("page.html.j2").render(**_parts(content))


def _parts(content: Content) -> dict[str, Any]:
    result, table = content.result, rows(content.result)
    last = str(max(result.steps, default=0))
    return {
        "result": result,
        "name": Path(result.artifact.name).name,
        "source": Path(result.model.name).name,
        "origin": Path(result.data.origin).name,
        "passed": result.status == GOOD,
        "headline": _headline(content),
        "columns": COLUMNS,
        "right": RIGHT,
        "rows": [row for row in table if row[1] == last],
        "earlier": [row for row in table if row[1] != last],
        "curves": _curves(content),
        "before": content.before,
        "after": content.after,
        "neurons": [] if content.explanation is None else content.explanation.neurons,
        "samples": content.samples,
        "layers": _layers(content),
        "explanation": content.explanation,
        "heat": _heat(content),
        "raster": pictures.raster(content.spikes) if content.spikes else "",
        "rates": _rates(content),
        "energy": _energy(content),
        "photographs": photographs(content.result.disagreements),
        "notes": content.notes,
    }


def _headline(content: Content) -> list[tuple[str, str]]:
    """The few figures that answer: is it good? What is measured after the last of the steps."""
    last = max(content.result.steps, default=0)
    rows_at_end = (row for row in content.result.measurements if row.steps == last)
    found = {row.metric: row.value for row in rows_at_end if row.value is not None}
    told = []
    for metric, words in (
        ("agreement", "same answer as the trained network"),
        ("accuracy", "right answers"),
        ("ann_accuracy", "right answers of the trained network"),
        ("cosine", "cosine to the trained network's output"),
        ("relative_l2", "distance from the trained network's output"),
        ("spike_rate", "events per neuron and step"),
    ):
        if metric in found:
            share = metric in ("agreement", "accuracy", "ann_accuracy")
            told.append((f"{100 * found[metric]:.2f} %" if share else f"{found[metric]:.4g}", words))
    return told


def _curves(content: Content) -> list[str]:
    """Of each output: agreement and accuracy over T, or the distance where it is no class; and at every single t."""
    by_output: dict[str, dict[str, dict[int, float]]] = {}
    kinds = {row.output: row.kind for row in content.result.measurements if row.output is not None}
    for row in content.result.measurements:
        if row.output is not None and row.value is not None:
            by_output.setdefault(row.output, {}).setdefault(row.metric, {})[row.steps] = row.value
    drawn = [_of_output(name, kinds[name], found) for name, found in by_output.items() if len(content.result.steps) > 1]
    if content.explanation is not None:
        lines = {name: _over_time(course) for name, course in content.explanation.outputs.items()}
        drawn.append(pictures.curves(lines, None, "", "distance at step t"))
    return drawn


def _of_output(name: str, kind: str | None, found: Mapping[str, dict[int, float]]) -> str:
    if kind not in (CLASSES, CHOICES):
        return pictures.curves({"relative L2 distance": found["relative_l2"]}, None, "", f"distance of {name}")
    lines = {metric: found[metric] for metric in ("agreement", "accuracy") if metric in found}
    own = next(iter(found.get("ann_accuracy", {}).values()), None)
    return pictures.curves(lines, own, "accuracy of the trained network", f"share of the samples ({name})")


def _over_time(course: np.ndarray) -> dict[int, float]:
    return {t + 1: float(value) for t, value in enumerate(course)}


def _layers(content: Content) -> list[dict[str, Any]]:
    """The layers that hurt most, the worst first."""
    explanation = content.explanation
    if explanation is None:
        return []
    kinds = {neuron.name: neuron.kind for neuron in explanation.neurons}
    return [
        {
            "name": name,
            "kind": kinds[name],
            "share": explanation.shares.get(name),
            "advice": explanation.advice[name],
            **explanation.at_end(name),
        }
        for name in explanation.ranking[:WORST]
    ]


def _heat(content: Content) -> str:
    explanation = content.explanation
    if explanation is None or not explanation.names:
        return ""
    return pictures.heat_map(explanation.names, explanation.figures.distance, "distance, relative to the activation")


def _rates(content: Content) -> str:
    rates = {spikes.name: spikes.events / spikes.slots for spikes in content.result.spikes if spikes.slots}
    return pictures.bars(rates, "events per neuron and step") if rates else ""


def _energy(content: Content) -> list[dict[str, str]]:
    """A row for each preset: what a sample costs, and in words whether that is less."""
    if content.ledger is None:
        return []
    found = []
    for name in PRESETS:
        energy = content.ledger.energy(name)
        costs = {what: joules(getattr(energy, what)) for what in ("snn", "ann", "quantised")}
        memory = "counted" if energy.preset.with_memory else "left out"
        found.append({"preset": name, **costs, "memory": memory, "sentence": sentence(content.ledger, energy)})
    return found
