"""The entry: an artifact and the model that it was made from, compared neuron by neuron on samples."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.calibration.data import Dataset, from_source
from spikec.calibration.signature import signature
from spikec.errors import ModelError, UsageError
from spikec.explaining.distances import OutputSums
from spikec.explaining.explanation import Explanation
from spikec.explaining.figures import Figures, FigureSums
from spikec.explaining.influence import MOST_CANDIDATES, affordable_samples, candidates, ranking, shares
from spikec.explaining.remedies import advice
from spikec.explaining.watching import WatchedSteps
from spikec.frontends import Source, load_model
from spikec.onnx_session import open_session, run_session
from spikec.prepared import Artifact
from spikec.runtime import read_manifest, read_model
from spikec.runtime.parts import Parts, take_apart

BATCH = 16  # samples followed at once: the states of all neurons, their activations, and a bit for each
FLOOR = 1e-3  # relative distance of the network without time from the model that is worth a warning

Told = Callable[[str, int, int], None]


def explain(
    model: Any,
    artifact: str | Path | bytes | onnx.ModelProto | Artifact,
    data: Any,
    *,
    example_inputs: Any = None,
    samples: int | None = None,
    most: int = MOST_CANDIDATES,
    progress: Told = lambda stage, done, total: None,
) -> Explanation:
    """Say where the error of a conversion comes from.

    Everything about the artifact is read from the file: its weights, amplitudes, step sizes and offsets. The trained
    network's activations come from there too (see ``spikec.explaining.watching``), its outputs from ``model``.

    Args:
        model: what the artifact was compiled from, as for ``spikec.compile``.
        artifact: a path, the file's bytes, the ONNX model, or what ``spikec.compile`` returned; form loop or step.
        data: samples: a path to an .npz, arrays or batches, as for calibration.
        example_inputs: for a torch module.
        samples: only the first so many.
        most: neurons that are made ideal in their turn, those of largest own error; the others have no share.
        progress: told (what is done, so far, in all).

    Raises:
        UsageError: the data does not fit the model, or ``samples`` or ``most`` is below 1.
        ModelError: the artifact is of the form unrolled, or was made from another model.
        ArtifactError: it is no artifact, or a damaged one.
    """
    if (samples is not None and samples < 1) or most < 1:
        raise UsageError("samples and neurons to look at must be 1 at least")
    parts = _parts(artifact)
    source = load_model(model, example_inputs)
    called = str(model) if isinstance(model, (str, Path)) else source.name
    _check_origin(parts, source, called)
    chosen, fixed, warnings = _samples(data, source, samples)
    steps = WatchedSteps(parts)
    figures, outputs, floor = _follow(steps, source, chosen, fixed, progress)
    own = {neuron.name: float(figures.own[row, -1]) for row, neuron in enumerate(steps.neurons)}
    looked_at = candidates(own, most)
    count = fixed or min(len(chosen), affordable_samples(len(looked_at), parts.manifest.steps))
    batch = chosen.head(count)
    share = shares(steps, looked_at, batch, lambda done, total: progress("making neurons ideal", done, total))
    if len(looked_at) < len(own):
        warnings.append(f"{len(looked_at)} of {len(own)} neurons have a share, those of the largest own error")
    return Explanation(
        model=called,
        artifact=str(artifact) if isinstance(artifact, (str, Path)) else "the artifact",
        steps=parts.manifest.steps,
        samples=len(chosen),
        neurons=steps.neurons,
        figures=figures,
        outputs=outputs,
        floor=floor,
        shares=share,
        share_samples=count,
        ranking=ranking(own, share),
        advice=advice(steps.neurons, figures, parts.manifest.raw["options"]),
        warnings=warnings + _floor_warnings(floor),
    )


def _parts(artifact: str | Path | bytes | onnx.ModelProto | Artifact) -> Parts:
    model = read_model(artifact.model if isinstance(artifact, Artifact) else artifact)
    name = str(artifact) if isinstance(artifact, (str, Path)) else "this ONNX file"
    manifest = read_manifest(model, name)
    if manifest.form == "unrolled":
        raise ModelError(
            f"{name} has the form unrolled, where no step is told from another; compile the model again with --form "
            "loop, which has the same neurons, and explain that"
        )
    return take_apart(model)


def _check_origin(parts: Parts, source: Source, name: str) -> None:
    origin = parts.manifest.raw["source"]
    if origin["sha256"] != source.sha256:
        raise ModelError(
            f"the artifact was made from another model: from {origin['name']} with sha256 {origin['sha256'][:16]}..., "
            f"and {name} has {source.sha256[:16]}...; give the model that it was compiled from, or compile this one"
        )


def _samples(data: Any, source: Source, samples: int | None) -> tuple[Dataset, int | None, list[str]]:
    """The samples asked for, the batch size that the model fixes, and what there is to say of those left out."""
    specs = signature(source.model)
    given = from_source(data, specs)
    fixed = next((spec.batch for spec in specs if spec.batch), None)
    count = min(len(given), samples or len(given))
    used = count - count % fixed if fixed else count
    if not used:
        raise UsageError(f"the model has a fixed batch of {fixed}; give so many samples or more, not {count}")
    warnings = (
        [f"the model has a fixed batch of {fixed}: {used} of {count} samples are looked at"] if used < count else []
    )
    return Dataset(given.head(used), origin=given.origin), fixed, warnings


def _follow(
    steps: WatchedSteps, source: Source, data: Dataset, fixed: int | None, progress: Told
) -> tuple[Figures, dict[str, np.ndarray], dict[str, float]]:
    """Figures, distances of the outputs over time and those without time, over all samples."""
    limit = steps.parts.manifest.steps
    session = open_session(source.model)
    figures, over_time, without = FigureSums(steps.neurons, limit), OutputSums(limit), OutputSums(1)
    done = 0
    for batch in data.batches(BATCH, fixed=fixed):
        reference = run_session(session, batch)
        activations, trained = steps.trained(batch)
        without.add(1, trained.outputs, reference)
        figures.begin(activations)
        for moment in steps.follow(batch, limit, figures.look):
            over_time.add(moment.t, moment.outputs, reference)
        done += len(next(iter(batch.values())))
        progress("following the neurons", done, len(data))
    floor = {name: float(course[0]) for name, course in without.distances().items()}
    return figures.figures(), over_time.distances(), floor


def _floor_warnings(floor: Mapping[str, float]) -> list[str]:
    return [
        f"'{name}' lies {value:.2g} from the model's even without time, every neuron read as its f (quantisation or "
        "half precision): no neuron is to blame for that"
        for name, value in floor.items()
        if not value <= FLOOR
    ]
