"""The whole path: a model in, an artifact out."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.advice import saturation_warnings, size_warnings
from spikec.artifact import assemble, write_model
from spikec.artifact.manifest import attach, build_manifest
from spikec.calibration import Observation, calibrate, observe
from spikec.calibration.selection import fixed_batch, select_data, whole_batches
from spikec.dynamics_rules import why_not
from spikec.errors import ModelError, UsageError
from spikec.frontends import load_model
from spikec.frontends.source import Source
from spikec.lowering import Recurrent, lower
from spikec.lowering.depth import relative_depths
from spikec.lowering.network import Network
from spikec.options import Options, check_names, from_preset
from spikec.passes.operators import NEURON_DOMAIN
from spikec.passes.region_function import operators_of
from spikec.pipeline import Levels, build_levels
from spikec.schedules import make_schedule

CHECKED_SAMPLES = 4  # samples on which every pass is checked
CHOSEN_LATE = {"steps", "schedule", "dead_zone", "form", "ranges"}  # settings that the preparation does not use


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
    return prepare(
        model, example_inputs, calibration=calibration, preset=preset, options=options, progress=progress, **chosen
    ).compile()


def prepare(
    model: Any,
    example_inputs: Any = None,
    *,
    calibration: Any = None,
    preset: str = "default",
    options: Options | None = None,
    progress: Progress | None = None,
    **chosen: Any,
) -> "Prepared":
    """All of ``compile`` that does not depend on the number of steps: arguments and errors are the same."""
    if options is not None and chosen:
        raise UsageError("give either options or single settings, not both")
    options = options or from_preset(preset, **chosen)
    make_schedule(options.schedule, options.steps)  # a wrong schedule is an error even where there is no neuron
    progress = progress or Progress()
    progress.stage("loading the model")
    source = load_model(model, example_inputs)
    data, warnings = select_data(calibration, source.model, options)
    fixed = fixed_batch(source.model, data)
    data, left_over = whole_batches(data, fixed)
    levels = build_levels(source.model, options, data.head(fixed or CHECKED_SAMPLES), progress.stage)
    _check_dynamics(levels, options)
    progress.stage("calibrating")
    network = Network(levels.neurons)
    seen = observe(network, options, data, fixed_batch=fixed, progress=progress.samples)
    summary = {"origin": Path(data.origin).name, "samples": len(data)}
    warnings = warnings + left_over + source.warnings + levels.warnings
    return Prepared(source, options, levels, network, seen, summary, warnings, progress)


@dataclass
class Prepared:
    """A network at level 3 with what calibration saw: ready to be compiled for any number of steps."""

    source: Source
    options: Options
    levels: Levels
    network: Network
    seen: Observation
    calibration: dict[str, Any]
    warnings: list[str]
    progress: Progress

    def compile(self, **chosen: Any) -> Artifact:
        """The artifact, with the settings in ``chosen`` put over those it was prepared with.

        Raises:
            UsageError: a setting in ``chosen`` is wrong, or is one that the preparation rests on.
        """
        check_names(chosen)
        fixed = set(chosen) - CHOSEN_LATE
        if fixed:
            raise UsageError(f"{', '.join(sorted(fixed))} cannot change after the preparation; prepare the model anew")
        options = replace(self.options, **chosen)
        make_schedule(options.schedule, options.steps)  # as in prepare: checked even where there is no neuron
        schedules = _schedules(self.network, options)
        calibrated, settings = calibrate(self.network, options, schedules, self.seen)
        warnings = self.warnings + saturation_warnings(settings)
        self.progress.stage("lowering to time steps")
        recurrent = lower(calibrated, schedules, options.dynamics, options.dead_zone)
        artifact = assemble(recurrent, options.form)
        warnings += size_warnings(artifact, recurrent)
        about: dict[str, Any] = {
            "source": self.source.describe(),
            "calibration": self.calibration,
            "warnings": warnings,
        }
        manifest = build_manifest(recurrent, settings, options, **about)
        attach(artifact, manifest)
        self.progress.stage("done")
        levels = replace(self.levels, models={**self.levels.models, "neurons": calibrated})
        return Artifact(artifact, manifest, levels, recurrent, warnings)


def _schedules(network: Network, options: Options) -> dict[str, np.ndarray]:
    """eta(t) of every neuron of a level-3 network."""
    # integrate-and-fire is rate coding: its step sizes are those of a running mean
    spec = "inverse:scale=1" if options.dynamics == "subgradient" else options.schedule
    depths = relative_depths(network)
    return {name: make_schedule(spec, options.steps, depth) for name, depth in depths.items()}


def _check_dynamics(levels: Levels, options: Options) -> None:
    for node in levels.neurons.graph.node:
        refusal = why_not(options.dynamics, node.op_type) if node.domain == NEURON_DOMAIN else None
        if refusal:
            raise ModelError(f"node '{node.name}' ({operators_of(node.op_type)}): {refusal[0]}; {refusal[1]}")
