"""``spikec bench``: how long an artifact takes, beside other ways to run it and beside T dense passes."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress as Bar

from spikec.cli.arguments import Artifact, Backend, Device, Evaluation, Json, Precision
from spikec.cli.output import number, print_json, print_table, progress_bar
from spikec.cli.run_command import check_engine

_HIDE = {"show_default": False}


def bench(
    artifact: Artifact,
    against: Annotated[
        str | None, typer.Option(help="The model it was made from: its T dense passes are the yardstick.", **_HIDE)
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", "-T", help="Time steps; all by default.", **_HIDE)] = None,
    batch: Annotated[
        int | None, typer.Option(help="Samples in a run (1, or as many as --data has).", min=1, **_HIDE)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="An .npz with one array per input; else random.", **_HIDE)] = None,
    backend: Backend = "torch",
    device: Device = "cpu",
    precision: Precision = "float32",
    evaluation: Evaluation = "auto",
    runs: Annotated[int, typer.Option(help="Runs that count, after a first one that does not.", min=1)] = 5,
    as_json: Json = False,
) -> None:
    """Time an artifact: a run, a step, memory, other ways to evaluate it, and the ratio to T dense passes."""
    check_engine(backend, device, precision, evaluation)
    from spikec.benching import Setting, Subject, contenders, report
    from spikec.timing import peak_memory, race

    subject = Subject.of(artifact, data, batch, steps)
    setting = Setting(backend, device, precision, evaluation)
    found, left_out = contenders(subject, setting, against)
    with progress_bar(show=not as_json) as bar:
        told = _told(bar, len(found) * (runs + 2))
        timings = race(found, runs, peak=partial(peak_memory, device=device), told=told)
    summary = {
        "artifact": artifact,
        "samples": subject.batch,
        "steps": subject.steps,
        "backend": backend,
        "device": device,
        "precision": precision,
        "runs": runs,
        **report(timings, subject.steps),
        "left_out": left_out,
    }
    if as_json:
        print_json(summary)
    else:
        _print(summary)


def _told(bar: Bar, calls: int) -> Any:
    task = bar.add_task("starting", total=calls)
    return lambda name: bar.update(task, description=name, advance=1)


def _print(summary: dict[str, Any]) -> None:
    title = f"{summary['samples']} samples, {summary['steps']} steps, on {summary['device']}"
    right = ["run, s", "step, ms", "ratio", "first run, s", "peak, MiB"]
    print_table(title, ["what", *right], [_line(row) for row in summary["rows"]], right=right)
    if summary["yardstick"]:
        typer.echo(f"ratio: to {summary['steps']} passes of the model, {summary['yardstick']}")
    for name, reason in summary["left_out"].items():
        typer.echo(f"left out: {name}: {reason}")


def _line(row: dict[str, Any]) -> list[str]:
    if row["reason"]:
        return [f"{row['name']}: {row['reason']}", "-", "-", "-", "-", "-"]
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    peak = "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f}"
    return [row["name"], number(row["seconds"]), number(1000 * row["seconds_per_step"]), ratio,
            number(row["first_seconds"]), peak]  # fmt: skip
