"""From an artifact and data to its ledger."""

from pathlib import Path
from typing import Any

import onnx

from spikec.calibration import load_npz, signature
from spikec.errors import ModelError
from spikec.ledger.counting import Counting
from spikec.ledger.measure import Run, measure
from spikec.ledger.probe import Probe
from spikec.ledger.totals import Ledger
from spikec.ledger.wiring import Wiring
from spikec.prepared import Artifact
from spikec.runtime import InputError, read_model
from spikec.runtime.inputs import Feeds, check_inputs
from spikec.runtime.parts import Parts, take_apart


def ledger(
    artifact: str | Path | bytes | onnx.ModelProto | Artifact,
    data: Any,
    *,
    steps: int | None = None,
    batch_size: int | None = None,
    device: str = "cpu",
    progress: Any = None,
) -> Ledger:
    """Count what an artifact does for one sample of ``data``, and what the network does that it was made from.

    Args:
        artifact: what ``spikec.compile`` returned or saved.
        data: an array, arrays by input name, or the path of an ``.npz`` that holds them (and labels, if it likes).
        steps: time steps; all T by default.
        batch_size: samples evaluated at once.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: called with (samples done, samples in all) after each batch.

    Raises:
        ArtifactError: this is no artifact.
        ModelError: its form is ``unrolled``, or it holds something that cannot be counted.
        InputError, UsageError: data or steps do not fit.
    """
    model = artifact.model if isinstance(artifact, Artifact) else read_model(artifact)
    parts = take_apart(model)
    run = Run(_steps(parts, steps), batch_size, device, progress)
    feeds = _feeds(model, parts, data)
    wiring, probe = Wiring(parts), Probe.of(parts, feeds)
    watched = {receiver.tensor for receiver in wiring.receivers} - set(wiring.rows)
    counting = Counting(parts, wiring, probe, measure(model, probe, feeds, sorted(watched), run), run.steps)
    rows = (tuple(counting.layers()), tuple(counting.neurons()), tuple(counting.rest()))
    return Ledger(parts.manifest.raw["source"]["name"], run.steps, len(next(iter(feeds.values()))), *rows)


def _feeds(model: onnx.ModelProto, parts: Parts, data: Any) -> Feeds:
    if isinstance(data, (str, Path)):
        data = load_npz(data, [spec for spec in signature(model) if spec.name in parts.manifest.inputs]).feeds
    return check_inputs(data, parts.inputs)


def _steps(parts: Parts, steps: int | None) -> int:
    manifest = parts.manifest
    if manifest.form == "unrolled" and manifest.states:
        raise ModelError(
            "the artifact has the form unrolled, whose neurons are spelled out in standard operators; compile it with "
            "--form loop, which costs the same, and count that"
        )
    if steps is not None and not 1 <= steps <= manifest.steps:
        raise InputError(
            f"{steps} steps asked; this artifact runs 1 to {manifest.steps} (compile it with more --steps)"
        )
    return steps or manifest.steps
