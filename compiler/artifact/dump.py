"""Writes every level of a compilation into a folder, for the eye and for netron."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from spikec.artifact.assemble import assemble_part
from spikec.artifact.write import make_folder, write_model
from spikec.lowering import Recurrent
from spikec.lowering.step_graph import CLOCK
from spikec.prepared import Artifact


def dump_levels(artifact: Artifact, folder: Path) -> list[Path]:
    """Write ``0_source.onnx`` to ``5_artifact.onnx`` (level 4 as ``4_init``, ``4_step`` and ``4_readout``).

    Raises:
        UsageError: the folder cannot be made.
    """
    make_folder(folder)
    files = {f"{i}_{name}": model for i, (name, model) in enumerate(artifact.levels.models.items())}
    files.update({f"4_{name}": model for name, model in level_four(artifact.recurrent).items()})
    files["5_artifact"] = artifact.model
    paths = []
    for name, model in files.items():
        paths.append(folder / f"{name}.onnx")
        write_model(model, paths[-1])
    return paths


def level_four(network: Recurrent) -> dict[str, onnx.ModelProto]:
    """Init, step and readout as models of their own; without neurons there is no step."""
    held = [_info(network, name, name) for name in network.held]
    initial = [_info(network, state.initial, state.initial) for state in network.states]
    clock = helper.make_tensor_value_info(CLOCK, TensorProto.INT64, [])
    before = [_info(network, state.name, state.initial) for state in network.states]
    after = [_info(network, state.next, state.initial) for state in network.states]
    finals = [_info(network, state.final, state.initial) for state in network.states]
    step = {"step": assemble_part(network, network.step, [clock, *before, *held], after)} if network.states else {}
    return {
        "init": assemble_part(network, network.init, network.inputs, initial + held),
        **step,
        "readout": assemble_part(network, network.readout_nodes(), finals + held, network.outputs),
    }


def _info(network: Recurrent, name: str, tensor: str) -> onnx.ValueInfoProto:
    """``name`` with the type and shape of the carried ``tensor``: inputs without a type cannot be loaded."""
    return helper.make_tensor_value_info(name, *network.carried[tensor])
