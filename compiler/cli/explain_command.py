"""``spikec explain``: where the error of a conversion comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikec.cli.arguments import Artifact, Json, Model
from spikec.cli.output import number, print_json, print_table, print_warnings, progress_bar

if TYPE_CHECKING:
    from spikec.explaining import Explanation

_HIDE = {"show_default": False}


def explain(
    model: Model,
    artifact: Artifact,
    data: Annotated[Path, typer.Option(help="An .npz with one array per model input.", **_HIDE)],
    samples: Annotated[int | None, typer.Option(help="Only the first so many samples.", min=1, **_HIDE)] = None,
    top: Annotated[int, typer.Option(help="Rows of the table: the neurons that cost the most.", min=1)] = 10,
    csv: Annotated[
        Path | None, typer.Option(help="Write the figures of all neurons and steps to this file.", **_HIDE)
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where the error of a conversion comes from: neuron by neuron, inherited or its own, and what to change."""
    from spikec.artifact.write import check_apart, check_writable
    from spikec.explaining import explain as explain_artifact

    if csv is not None:
        check_apart(csv, model, artifact, data)
        check_writable(csv)
    with progress_bar(show=not as_json) as bar:
        task = bar.add_task("loading the model", total=None)
        found = explain_artifact(
            model,
            artifact,
            data,
            samples=samples,
            progress=lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total),
        )
    if csv is not None:
        found.write_csv(csv)
    if as_json:
        print_json(found.as_dict())
        return
    print_warnings(found.warnings)
    _print(found, top)


def _print(found: "Explanation", top: int) -> None:
    asked = [t for t in range(1, found.steps + 1) if t == found.steps or t & (t - 1) == 0]
    rows = [[name, *(number(course[t - 1]) for t in asked)] for name, course in found.outputs.items()]
    steps = [f"t = {t}" for t in asked]
    print_table(f"Distance of the outputs, {found.samples} samples", ["output", *steps], rows, right=steps)
    shown = found.ranking[:top]
    right = ["share", "distance", "inherited", "own", "saturated", "dead", "rate"]
    title = f"{len(shown)} of {len(found.ranking)} neuron nodes, after {found.steps} steps"
    print_table(title, ["neuron", "f", *right], [_row(found, name) for name in shown], right=right)
    for name in shown:
        typer.echo(f"{name}: {found.advice[name]}")
    typer.echo(found.verdict())


def _row(found: "Explanation", name: str) -> list[str]:
    neuron = next(neuron for neuron in found.neurons if neuron.name == name)
    end, share = found.at_end(name), found.shares.get(name)
    percents = [f"{100 * end[what]:.1f} %" for what in ("saturated", "dead", "rate")]
    distances = [number(end[what]) for what in ("distance", "inherited", "own")]
    return [name, neuron.function, "-" if share is None else f"{100 * share:.1f} %", *distances, *percents]
