"""What a user should be told about a compiled network."""

import onnx

from spikec.calibration import NeuronSetting, Observation
from spikec.calibration.readout import FEWEST
from spikec.lowering import Recurrent
from spikec.options import Options

MANY_NODES = 50_000  # onnxruntime's load time grows faster than linearly beyond this


def saturation_warnings(settings: list[NeuronSetting]) -> list[str]:
    """Which neurons cannot reach the range that calibration saw, if any."""
    saturated = [s for s in settings if s.saturates]
    if not saturated:
        return []
    names = ", ".join(s.neuron.name for s in saturated)
    return [
        f"{len(saturated)} of {len(settings)} neuron nodes saturate, their schedule cannot reach the calibrated range: "
        f"{names}; use --ranges every, --range-rule max, or a schedule with a larger sum "
        "(spikec inspect shows range and reach)"
    ]


def fit_warnings(seen: Observation) -> list[str]:
    """That amplitudes could not be fitted, if so."""
    if not seen.unfitted:
        return []
    return [f"amplitudes are the largest values seen, as by --range-rule max, and not fitted: {seen.unfitted}"]


def readout_warnings(options: Options, network: Recurrent) -> list[str]:
    """That an affine readout was asked for and none is there, if so."""
    if options.readout == "plain" or network.corrections or not network.neurons:
        return []
    return [
        "no scale or offset of the affine readout helps on samples held back, so the outputs are those of --readout "
        f"plain; it helps where time steps are few, and takes {FEWEST} calibration samples or more"
    ]


def size_warnings(model: onnx.ModelProto, network: Recurrent) -> list[str]:
    """What is odd about the size of the artifact ``model``, if anything."""
    warnings = []
    if not network.neurons:
        warnings.append("the network has no nonlinearity before its readout: the artifact has no neurons and no time")
    if len(model.graph.node) > MANY_NODES:
        warnings.append(
            f"the artifact has {len(model.graph.node)} nodes; onnxruntime needs seconds to minutes to load it: "
            "prefer form loop"
        )
    return warnings
