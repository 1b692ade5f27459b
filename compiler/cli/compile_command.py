"""``spikec compile``: a model in, an artifact out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress as Bar

from spikec.cli.arguments import Dynamics, Granularity, Json, Model, Preset, Quantisation, seconds
from spikec.cli.output import print_json, print_warnings, progress_bar

if TYPE_CHECKING:
    from spikec.checking import CheckResult
    from spikec.prepared import Progress
    from spikec.tuning import Tuning

_HIDE = {"show_default": False}


def compile_(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="The artifact to write.", **_HIDE)],
    steps: Annotated[int | None, typer.Option("--steps", "-T", help="Time steps T (default 32).", **_HIDE)] = None,
    calibration: Annotated[
        str | None, typer.Option(help="An .npz with one array per model input; without it, random input.", **_HIDE)
    ] = None,
    preset: Preset = "default",
    form: Annotated[str | None, typer.Option(help="loop (default), unrolled or step.", **_HIDE)] = None,
    dynamics: Dynamics = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="geometric, exponential, inverse or constant, as NAME:key=value,...", **_HIDE),
    ] = None,
    dead_zone: Annotated[
        float | None, typer.Option(help="theta: silent within theta*eta*a (default 0.5; 0: binary neurons).", **_HIDE)
    ] = None,
    early_dead_zone: Annotated[
        str | None, typer.Option(help="theta before the last step: KIND=theta,... (default softmax=0.3).", **_HIDE)
    ] = None,
    correction: Annotated[
        float | None, typer.Option(help="Share of a fit's mean error made up for: 0 to 1 (default 0.5).", **_HIDE)
    ] = None,
    readout: Annotated[
        str | None, typer.Option(help="plain (default), or affine: outputs scaled and shifted for T.", **_HIDE)
    ] = None,
    coding: Annotated[str | None, typer.Option(help="Input coding: direct, float or spike.", **_HIDE)] = None,
    granularity: Granularity = None,
    quantisation: Quantisation = None,
    ranges: Annotated[str | None, typer.Option(help="Scale every neuron by its range, or relu only.", **_HIDE)] = None,
    range_rule: Annotated[
        str | None, typer.Option(help="fit (default: layer by layer), max, or percentile:P.", **_HIDE)
    ] = None,
    range_per: Annotated[
        str | None, typer.Option(help="One amplitude a channel (default) or a tensor.", **_HIDE)
    ] = None,
    initial: Annotated[
        str | None, typer.Option(help="v(0): zero, mean, or fit (default: the better of the two by channel).", **_HIDE)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the random input without --calibration.", **_HIDE)] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Search the settings that serve T best.", **_HIDE)] = False,
    tune_budget: Annotated[str, typer.Option(help="Time for the search: 90s, 5m.")] = "120s",
    tune_trials: Annotated[int | None, typer.Option(help="Stop after so many trials, too.", **_HIDE)] = None,
    tune_csv: Annotated[
        Path | None, typer.Option(help="Where the trials go (default: OUTPUT.trials.csv).", **_HIDE)
    ] = None,
    check: Annotated[
        Path | None, typer.Option(help="Write the artifact only if it passes spikec check on these samples.", **_HIDE)
    ] = None,
    thresholds: Annotated[Path | None, typer.Option(help="Of --check: a TOML file (docs/ci.md).", **_HIDE)] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep what fails the check as NAME.failed.onnx.", **_HIDE)
    ] = False,
    dump: Annotated[Path | None, typer.Option(help="Write every level of the graph into this folder.", **_HIDE)] = None,
    as_json: Json = False,
) -> None:
    """Convert a trained network into a spiking one and write it as one ONNX file."""
    from spikec.artifact.dump import dump_levels
    from spikec.artifact.write import check_apart, check_writable, make_folder
    from spikec.cli.compile_check import CompileCheck
    from spikec.compilation import prepare
    from spikec.options import from_preset

    options = from_preset(
        preset,
        steps=steps,
        form=form,
        dynamics=dynamics,
        schedule=schedule,
        dead_zone=dead_zone,
        early_dead_zone=early_dead_zone,
        correction=correction,
        readout=readout,
        coding=coding,
        granularity=granularity,
        quantisation=quantisation,
        ranges=ranges,
        range_rule=range_rule,
        range_per=range_per,
        initial=initial,
        seed=seed,
    )
    check_apart(output, model, calibration)  # all this before minutes of work
    check_writable(output)
    gate = CompileCheck.of(check, thresholds, keep_failed, output, model, calibration)
    record = (tune_csv or output.with_suffix(".trials.csv")) if tune else None
    if record is not None:
        check_writable(record)
    budget = seconds(tune_budget)
    if dump is not None:
        make_folder(dump)
    with progress_bar(show=not as_json) as bar:
        progress = _progress(bar)
        prepared = prepare(model, calibration=calibration, options=options, progress=progress)
        if gate is not None:
            gate.look_at_data(prepared.source)
        tuning = prepared.tune(budget=budget, trials=tune_trials) if tune else None
        artifact = prepared.compile(tuning=tuning)
        if gate is not None:
            progress.stage("checking")
        verdict = gate.run(prepared.source, artifact, progress.samples) if gate else None
    target = gate.target(verdict) if gate and verdict else output
    if target is not None:
        artifact.save(target)
    if record is not None and tuning is not None:
        tuning.write_csv(record)
    print_warnings(artifact.warnings)
    if dump is not None:
        dump_levels(artifact, dump)
    summary = {
        "artifact": None if target is None else str(target),
        "bytes": artifact.model.ByteSize(),
        "form": artifact.manifest["form"],
        "steps": options.steps,
        "dynamics": options.dynamics,
        "neuron_nodes": len(artifact.manifest["neurons"]),
        "saturating": [row["name"] for row in artifact.manifest["neurons"] if row["saturates"]],
        "largest_distance_levels_1_to_3": max(artifact.levels.distances.values()),
        "warnings": artifact.warnings,
        **({"tuning": {"trials": len(tuning.trials), "csv": str(record), **_found(tuning)}} if tuning else {}),
        **({"check": verdict.as_dict()} if verdict else {}),
    }
    if as_json:
        print_json(summary)
    else:
        _print(summary, options.steps, tuning, verdict)
    if verdict is not None and verdict.exit_code:
        raise typer.Exit(verdict.exit_code)


def _print(summary: dict[str, Any], steps: int, tuning: "Tuning | None", verdict: "CheckResult | None") -> None:
    from spikec.cli.check_output import print_check

    typer.echo(
        f"{summary['artifact'] or 'not written'}: {summary['neuron_nodes']} neuron nodes, T = {steps}, "
        f"form {summary['form']}, {summary['bytes'] / 1e6:.2f} MB; levels 1 to 3 equal the source within "
        f"{summary['largest_distance_levels_1_to_3']:.1e}"
    )
    if tuning is not None:
        typer.echo(
            f"tuned in {len(tuning.trials)} trials ({summary['tuning']['csv']}): held-back distance from the ANN "
            f"{tuning.default:.4f} -> {tuning.tuned:.4f}"
            + ("" if tuning.chosen else ", the settings stay as they were")
        )
    if verdict is not None:
        print_check(verdict)


def _found(tuning: "Tuning") -> dict[str, Any]:
    found = tuning.as_dict()
    return {name: found[name] for name in ("held_back", "chosen")}


def _progress(bar: Bar) -> "Progress":
    from spikec.prepared import Progress

    task = bar.add_task("starting", total=None)

    def stage(text: str) -> None:
        bar.update(task, description=text, completed=0, total=1)

    def samples(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    def trials(done: int, best: float) -> None:
        bar.update(task, description=f"tuning: {done} trials, least distance {best:.4f}", total=None)

    return Progress(stage, samples, trials)
