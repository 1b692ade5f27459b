"""The whole path: a model in, an artifact out."""

from typing import Any

from spikec.calibration import observe
from spikec.calibration.selection import fixed_batch, select_data, whole_batches
from spikec.dynamics_rules import why_not
from spikec.errors import ModelError, UsageError
from spikec.frontends import load_model
from spikec.lowering.network import Network
from spikec.options import Options, from_preset
from spikec.passes.operators import NEURON_DOMAIN
from spikec.passes.region_function import operators_of
from spikec.pipeline import Levels, build_levels
from spikec.prepared import Artifact, Prepared, Progress
from spikec.schedules import make_schedule
from spikec.sizes import within_protobuf

CHECKED_SAMPLES = 4  # samples on which every pass is checked


@within_protobuf
def compile(
    model: Any,
    example_inputs: Any = None,
    *,
    calibration: Any = None,
    preset: str = "default",
    options: Options | None = None,
    progress: Progress | None = None,
    tune: float | None = None,
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
        tune: seconds to search settings for, see ``Prepared.tune``.
        **chosen: any field of ``spikec.Options`` (``steps``, ``schedule``, ``form``...), put over the preset.

    Raises:
        UsageError, ModelError, EnvironmentMissing: see ``spikec.errors``; the message says what to do.
    """
    prepared = prepare(
        model, example_inputs, calibration=calibration, preset=preset, options=options, progress=progress, **chosen
    )
    return prepared.compile(tuning=None if tune is None else prepared.tune(budget=tune))


@within_protobuf
def prepare(
    model: Any,
    example_inputs: Any = None,
    *,
    calibration: Any = None,
    preset: str = "default",
    options: Options | None = None,
    progress: Progress | None = None,
    **chosen: Any,
) -> Prepared:
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
    warnings = warnings + left_over + source.warnings + levels.warnings
    return Prepared(source, options, levels, network, seen, data, fixed, warnings, progress)


def _check_dynamics(levels: Levels, options: Options) -> None:
    for node in levels.neurons.graph.node:
        refusal = why_not(options.dynamics, node.op_type) if node.domain == NEURON_DOMAIN else None
        if refusal:
            raise ModelError(f"node '{node.name}' ({operators_of(node.op_type)}): {refusal[0]}; {refusal[1]}")
