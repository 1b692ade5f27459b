"""The whole path: a model in, an artifact out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.artifact import assemble, write_model
from spikec.artifact.manifest import attach, build_manifest
from spikec.calibration import Dataset, NeuronSetting, calibrate, from_source, random_data, signature
from spikec.dynamics_rules import why_not
from spikec.errors import ModelError, UsageError
from spikec.frontends import load_model
from spikec.lowering import Recurrent, lower
from spikec.lowering.depth import relative_depths
from spikec.lowering.network import Network
from spikec.options import Options, from_preset
from spikec.passes.operators import NEURON_DOMAIN
from spikec.pipeline import Levels, build_levels
from spikec.schedules import make_schedule

CHECKED_SAMPLES = 4  # samples on which every pass is checked
MANY_NODES = 50_000  # onnxruntime's load time grows faster than linearly beyond this


@dataclass
class Progress:
    """Callbacks of a long compilation: the stage it is in, and samples calibrated."""

    stage: Callable[[str], None] = lambda text: None
    samples: Callable[[int, int], None] = lambda done, total: None


@dataclass
class Artifact:
    """A compiled network: the ONNX model with its manifest, and every level on the way to it."""

    model: onnx.ModelProto
    manifest: dict[str, Any]
    levels: Levels
    recurrent: Recurrent
    warnings: list[str] = field(default_factory=list)

    def save(self, path: str | Path) -> Path:
        """Write the artifact in one move (an older file stays intact until then) and return its path."""
        write_model(self.model, Path(path))
        return Path(path)


def compile(
    model: Any,
    example_inputs: Any = None,
    *,
    calibration: Any = None,
    preset: str = "default",
    options: Options | None = None,
    progress: Progress | None = None,
    **chosen: Any,
) -> Artifact:
    """Convert a trained network into a spiking one.

    Args:
        model: an ONNX file, ``timm:NAME?option=value``, ``package.module:factory``, an ``onnx.ModelProto``, or
            a ``torch.nn.Module`` (then ``example_inputs`` is needed).
        example_inputs: a tensor or tuple of tensors for a torch module; the batch is the first dimension.
        calibration: path to an .npz, arrays or batches (see ``spikec.calibration.data``). None: seeded random input.
        preset: ``default`` or ``paper``.
        options: a full set of options, in place of ``preset``.
        progress: callbacks for long runs.
        **chosen: any field of ``spikec.Options`` (``steps``, ``schedule``, ``form``...), put over the preset.

    Raises:
        UsageError, ModelError, EnvironmentMissing: see ``spikec.errors``; the message says what to do.
    """
    if options is not None and chosen:
        raise UsageError("give either options or single settings, not both")
    options = options or from_preset(preset, **chosen)
    progress = progress or Progress()
    progress.stage("loading the model")
    source = load_model(model, example_inputs)
    data, warnings = _calibration_data(calibration, source.model, options)
    warnings += source.warnings
    fixed = _fixed_batch(source.model, data)
    levels = build_levels(source.model, options, data.head(fixed or CHECKED_SAMPLES), progress.stage)
    _check_dynamics(levels, options)
    schedules = _schedules(levels.neurons, options)
    progress.stage("calibrating")
    calibrated, settings = calibrate(
        levels.neurons, options, schedules, data, fixed_batch=fixed, progress=progress.samples
    )
    levels.models["neurons"] = calibrated
    warnings += _saturation_warnings(settings)
    progress.stage("lowering to time steps")
    network = lower(calibrated, schedules, options.dynamics, options.dead_zone)
    artifact = assemble(network, options.form)
    warnings += _size_warnings(artifact, network)
    summary = {"origin": Path(data.origin).name, "samples": len(data)}
    manifest = build_manifest(
        network, settings, options, source=source.describe(), calibration=summary, warnings=warnings
    )
    attach(artifact, manifest)
    progress.stage("done")
    return Artifact(artifact, manifest, levels, network, warnings)


def _calibration_data(calibration: Any, model: onnx.ModelProto, options: Options) -> tuple[Dataset, list[str]]:
    specs = signature(model)
    if calibration is not None:
        return from_source(calibration, specs), []
    data = random_data(specs, options.seed)
    return data, [
        f"no calibration data given: ranges come from {len(data)} samples of {data.origin}, which know nothing of the "
        "real inputs; pass real samples with --calibration FILE.npz"
    ]


def _fixed_batch(model: onnx.ModelProto, data: Dataset) -> int | None:
    fixed = next((spec.batch for spec in signature(model) if spec.batch), None)
    if fixed and len(data) < fixed:
        raise UsageError(f"the model has a fixed batch of {fixed}; the calibration data has only {len(data)} samples")
    return fixed


def _schedules(model: onnx.ModelProto, options: Options) -> dict[str, np.ndarray]:
    """eta(t) of every neuron of a level-3 model."""
    depths = relative_depths(Network(model))
    # integrate-and-fire is rate coding: its step sizes are those of a running mean
    spec = "inverse:scale=1" if options.dynamics == "subgradient" else options.schedule
    make_schedule(spec, options.steps)  # a wrong schedule is an error even where there is no neuron
    return {name: make_schedule(spec, options.steps, depth) for name, depth in depths.items()}


def _check_dynamics(levels: Levels, options: Options) -> None:
    for node in levels.neurons.graph.node:
        refusal = why_not(options.dynamics, node.op_type) if node.domain == NEURON_DOMAIN else None
        if refusal:
            raise ModelError(f"node '{node.name}' ({node.op_type}): {refusal[0]}; {refusal[1]}")


def _saturation_warnings(settings: list[NeuronSetting]) -> list[str]:
    saturated = [s for s in settings if s.saturates]
    if not saturated:
        return []
    names = ", ".join(s.neuron.name for s in saturated)
    return [
        f"{len(saturated)} of {len(settings)} neuron nodes saturate, their schedule cannot reach the calibrated range: "
        f"{names}; use --ranges every, --range-rule max, or a schedule with a larger sum "
        "(spikec inspect shows range and reach)"
    ]


def _size_warnings(model: onnx.ModelProto, network: Recurrent) -> list[str]:
    warnings = []
    if not network.neurons:
        warnings.append("the network has no nonlinearity before its readout: the artifact has no neurons and no time")
    if len(model.graph.node) > MANY_NODES:
        warnings.append(
            f"the artifact has {len(model.graph.node)} nodes; onnxruntime needs seconds to minutes to load it: "
            "prefer form loop"
        )
    return warnings
