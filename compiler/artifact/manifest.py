"""The manifest: what an artifact says of itself, as JSON in the file's metadata."""

import json
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx

from spikec.calibration.amplitudes import NeuronSetting
from spikec.lowering.recurrent import Recurrent
from spikec.options import Options

FORMAT = 1  # raise it when a reader of an older version would misread the file
KEY = "spikec"


def attach(model: onnx.ModelProto, manifest: dict[str, Any]) -> None:
    """Write the manifest into the model's metadata (key ``spikec``), beside a format number that any reader finds."""
    onnx.helper.set_model_props(
        model, {f"{KEY}.format": str(manifest["format"]), KEY: json.dumps(manifest, sort_keys=True)}
    )


def build_manifest(
    network: Recurrent,
    settings: list[NeuronSetting],
    options: Options,
    *,
    source: dict[str, Any],
    calibration: dict[str, Any],
    warnings: list[str],
) -> dict[str, Any]:
    """All that a reader needs besides the graph: time, schedule, states, neurons, origin.

    Nothing in it depends on when or where the compilation ran: equal inputs give equal bytes.
    """
    return {
        "format": FORMAT,
        "form": options.form if network.states else "loop",
        "steps": options.steps,
        "dynamics": options.dynamics,
        "schedule": _schedule_name(options),
        "options": options.as_dict(),
        "inputs": [info.name for info in network.inputs],
        "outputs": [info.name for info in network.outputs],
        "states": [vars(state) for state in network.states],
        "held": list(network.held),
        "held_types": [network.carried[name][0] for name in network.held],
        "readout": _readout(network),
        "neurons": [_row(setting, network.schedules[setting.neuron.name]) for setting in settings],
        "source": source,
        "calibration": calibration,
        "tools": {
            name: version(name)
            for name in ("spikec", "onnx", "onnxruntime", "onnx-graphsurgeon", "onnxscript", "torch")
        },
        "warnings": warnings,
    }


def _schedule_name(options: Options) -> str:
    return "1/(t+1)" if options.dynamics == "subgradient" else options.schedule


def _readout(network: Recurrent) -> dict[str, Any]:
    corrections = [{"tensor": name, **affine.extremes()} for name, affine in network.corrections.items()]
    nodes = [node.name for node in network.readout]
    return {"inputs": network.readout_inputs, "nodes": nodes, "corrections": corrections}


def _row(setting: NeuronSetting, table: np.ndarray) -> dict[str, Any]:
    neuron = setting.neuron
    return {
        "name": neuron.name,
        "function": neuron.function,
        "kind": neuron.kind,
        "coding": neuron.coding,
        "inputs": list(neuron.values),
        "event": f"{neuron.name}/event",
        "eta": [float(eta) for eta in table],
        **setting.as_dict(),
    }
