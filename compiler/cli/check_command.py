"""``spikec check``: the gate in front of a model registry."""

import contextlib
import math
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikec.cli.arguments import Artifact, Backend, Device, Evaluation, Model, Precision
from spikec.cli.run_command import check_engine, parse_steps
from spikec.errors import UsageError

if TYPE_CHECKING:
    from spikec.checking import Scaling

_HIDE = {"show_default": False}


def check(
    context: typer.Context,
    model: Model,
    artifact: Artifact,
    data: Annotated[
        Path,
        typer.Option(help="An .npz with one array per input and labels if there are, or a folder of images.", **_HIDE),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="A CSV file,label for a folder of images; else sub-folders are classes.", **_HIDE),
    ] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="Scale and crop images to the model's size.", **_HIDE)
    ] = False,
    mean: Annotated[str, typer.Option(help="Of images: taken off x/255; one number, or one a channel.")] = "0",
    std: Annotated[str, typer.Option(help="Of images: what x/255 - mean is divided by.")] = "1",
    thresholds: Annotated[
        Path | None, typer.Option(help="A TOML file (docs/ci.md); built in: agreement 0.99 at T.", **_HIDE)
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Numbers of steps, as 8,16,32; the artifact's T by default.", **_HIDE)
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON to this file.", **_HIDE)] = None,
    junit: Annotated[Path | None, typer.Option(help="Write it as JUnit XML.", **_HIDE)] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as a Markdown table.", **_HIDE)] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page: the check, errors by layer, spikes, energy.", **_HIDE)
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Make --thresholds as tight as what is measured.", **_HIDE)
    ] = False,
    allow_loosen: Annotated[
        bool, typer.Option("--allow-loosen", help="With --update: loosen thresholds that are missed.", **_HIDE)
    ] = False,
    backend: Backend = "torch",
    device: Device = "cpu",
    provider: Annotated[str, typer.Option(help="onnxruntime's, for the trained network.")] = "CPUExecutionProvider",
    precision: Precision = "float32",
    evaluation: Evaluation = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Samples read and evaluated at once (64).", min=1, **_HIDE)
    ] = None,
) -> None:
    """Hold an artifact against the model it was made from; exit code 1 where it misses a threshold.

    Started by torchrun, the processes share the samples.
    """
    from spikec.checking import Request, Settings, Where, world_of_environment
    from spikec.checking.gate import Gate
    from spikec.checking.reports import Reports
    from spikec.cli.check_output import check_progress, print_check

    def parsed(request: Request) -> Request:
        check_engine(backend, device, precision, evaluation)
        asked = parse_steps(steps)
        chosen = replace(request.settings, steps=None if asked is None else tuple(asked))
        return replace(request, settings=chosen, where=replace(request.where, scaling=scaling_of(resize, mean, std)))

    command = shlex.join(["spikec", *(context.obj or [])])
    settings = Settings(backend, device, precision, evaluation, provider, batch_size)
    typed = Request(model, artifact, Where(data, labels), settings, command=command)
    world = world_of_environment()
    gate = Gate(thresholds, Reports(json, junit, markdown, report), update, allow_loosen, world)
    with alone(world.speaks):
        typer.echo(command)
        with check_progress(show=world.speaks) as told:
            result = gate.run(typed, parsed, told)
        print_check(result)
    raise typer.Exit(result.exit_code)


@contextlib.contextmanager
def alone(speaks: bool) -> Iterator[None]:
    """Of several processes only one speaks: the others print nothing, and end with the code of what stopped them."""
    if speaks:
        yield
        return
    from spikec.checking.gate import exit_code

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            yield
        except Exception as error:
            raise typer.Exit(exit_code(error)) from error


def scaling_of(resize: bool, mean: str, std: str) -> "Scaling":
    """How images become numbers, from the words on the command line.

    Raises:
        UsageError: these are no lists of numbers, or one would divide by 0.
    """
    from spikec.checking import Scaling

    scaling = Scaling(resize, _numbers("--mean", mean), _numbers("--std", std))
    if 0.0 in scaling.std:
        raise UsageError(f"--std {std} holds a 0, by which nothing can be divided")
    return scaling


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (float("nan"),)
    if not all(map(math.isfinite, found)):
        raise UsageError(f"{option} '{text}' is no list of numbers; write {option} 0.485,0.456,0.406")
    return found
