"""``spikec run``: an artifact on samples from a file."""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikec.cli.arguments import Artifact, Backend, Device, Evaluation, Json, Precision
from spikec.cli.exits import report_exits
from spikec.cli.output import number, print_json, print_table, progress_bar
from spikec.errors import UsageError

_HIDE = {"show_default": False}


def run(
    artifact: Artifact,
    input_: Annotated[
        Path, typer.Option("--input", "-i", help="An .npz with one array per input, and labels if there are.", **_HIDE)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the outputs to this .npz.", **_HIDE)
    ] = None,
    steps: Annotated[str | None, typer.Option(help="Numbers of steps, as 4,8,16; all T by default.", **_HIDE)] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Early exit, sample by sample: stability:STEPS, margin:NUMBER or certified (no spike can change the "
            "class any more).",
            **_HIDE,
        ),
    ] = None,
    backend: Backend = "torch",
    device: Device = "cpu",
    precision: Precision = "float32",
    evaluation: Evaluation = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Samples evaluated at once; by default what suits.", min=1, **_HIDE)
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an artifact: outputs, spike rates, and with labels the accuracy at each number of steps."""
    from spikec.artifact.write import check_apart, check_writable, write_bytes
    from spikec.calibration import load_npz, signature
    from spikec.runtime import Session, parse_rule, read_manifest, read_model

    check_engine(backend, device, precision, evaluation)
    asked, rule = parse_steps(steps), until and parse_rule(until)
    if rule and len(asked or [0]) > 1:
        raise UsageError(f"--steps {steps} with --until; give the one number of steps that no sample goes beyond")
    if output is not None:
        check_apart(output, artifact, input_)
        check_writable(output)
    model = read_model(artifact)
    inputs = read_manifest(model, artifact).inputs
    session = Session(model, backend, device, precision, evaluation)
    data = load_npz(input_, [spec for spec in signature(model) if spec.name in inputs])
    with progress_bar(show=not as_json) as bar:
        task = bar.add_task("running", total=len(data))
        settings: dict[str, Any] = {
            "batch_size": batch_size,
            "progress": lambda done, total: bar.update(task, completed=done, total=total),
        }
        if rule:
            early = session.run_until(data.feeds, rule, steps=asked[0] if asked else None, **settings)
        else:
            result = session.run(data.feeds, asked, **settings)
    told = {"artifact": artifact, "samples": len(data), "backend": backend, "device": device, "precision": precision}
    if rule:
        if output is not None:
            write_bytes(_archive({**early.outputs, "@steps": early.steps}), output)
        right = _accuracy({early.limit: early.outputs}, data.labels) or {}
        report_exits({**told, "until": until}, early, right.get(str(early.limit)), as_json)
        return
    if output is not None:
        write_bytes(_npz(result.outputs), output)
    accuracy = _accuracy(result.outputs, data.labels)
    summary = {
        **told,
        "accuracy": accuracy,
        "spike_rate": result.rate,
        "neurons": {n: {"spikes": c.total, "slots": c.slots, "rate": c.rate} for n, c in result.spikes.items()},
        "outputs": {name: list(value.shape) for name, value in result.final.items()},
    }
    if as_json:
        print_json(summary)
    else:
        _print(summary, sorted(result.outputs))


_WORDS = {
    "backend": ("torch", "onnxruntime"),
    "precision": ("float32", "float64", "bfloat16", "int8"),
    "evaluation": ("auto", "layers", "steps"),
}


def check_engine(backend: str, device: str, precision: str, evaluation: str) -> None:
    """A wrong word is told apart from a device that is not there."""
    for what, word in (("backend", backend), ("precision", precision), ("evaluation", evaluation)):
        if word not in _WORDS[what]:
            *some, last = _WORDS[what]
            raise UsageError(f"there is no {what} '{word}'; choose {', '.join(some)} or {last}")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"there is no device '{device}'; write cpu, cuda or cuda:N")


def parse_steps(text: str | None) -> list[int] | None:
    """The numbers of steps in ``4,8,16``; None where nothing was written.

    Raises:
        UsageError: it is no such list.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--steps '{text}' is not a list of whole numbers; write --steps 4,8,16") from None


def _accuracy(outputs: dict[int, dict[str, np.ndarray]], labels: np.ndarray | None) -> dict[str, float] | None:
    """Share of samples whose class is the label's."""
    if labels is None:
        return None
    return {str(t): float(np.mean(_classes(found, labels) == labels)) for t, found in outputs.items()}


def _classes(outputs: Mapping[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """The class of every sample: whole numbers (N,) or (N, k), best first, as of ArgMax and TopK, else from scores."""
    for value in outputs.values():
        if np.issubdtype(value.dtype, np.integer) and value.ndim in (1, 2) and value.size:
            return np.asarray(value if value.ndim == 1 else value[:, 0])
    for value in outputs.values():
        if value.ndim == 2 and value.shape[1] > 1:
            low, high, last = labels.min(), labels.max(), value.shape[1] - 1
            if low < 0 or high > last:
                raise UsageError(f"the labels go from {low} to {high}, the artifact knows classes 0 to {last}")
            return np.asarray(value.argmax(axis=1))
    raise UsageError(
        "the input file has labels, but the artifact has no output of classes (N,) or class scores (N, classes)"
    )


def _npz(outputs: dict[int, dict[str, np.ndarray]]) -> bytes:
    """The last asked step under the outputs' names, and every asked step as NAME@T."""
    arrays = {f"{name}@{t}": value for t, found in outputs.items() for name, value in found.items()}
    return _archive(arrays | outputs[max(outputs)])


def _archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz of arrays by name."""
    buffer = io.BytesIO()
    # not numpy.savez: it takes names as keywords, and an output may be called "file"
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, value)
    return buffer.getvalue()


def _print(summary: dict[str, Any], steps: list[int]) -> None:
    accuracy = summary["accuracy"]
    if accuracy is not None:
        rows = [[t, f"{100 * accuracy[str(t)]:.2f} %"] for t in steps]
        print_table(f"{summary['samples']} samples", ["steps", "accuracy"], rows, right=["steps", "accuracy"])
    rows = [[name, f"{row['spikes']:,}", number(row["rate"])] for name, row in summary["neurons"].items()]
    print_table(f"Spikes in {max(steps)} steps", ["neuron", "spikes", "rate"], rows, right=["spikes", "rate"])
    shapes = ", ".join(f"{name} {tuple(shape)}" for name, shape in summary["outputs"].items())
    typer.echo(f"{summary['samples']} samples, spike rate {number(summary['spike_rate'])}; outputs {shapes}")
