"""Takes an artifact apart: init, step and readout as lists of nodes, whatever form the file has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import FunctionProto, NodeProto, TensorProto, ValueInfoProto

from spikec.runtime.errors import ArtifactError, InputError
from spikec.runtime.manifest import Manifest, read_manifest

CLOCK = "spikec/t"
_NOW = "/now"  # form step: a state after the choice between init and the fed value


@dataclass
class Parts:
    """An artifact's graphs, in the names of the manifest.

    ``init`` computes states and held tensors from the inputs; ``step`` takes states, held tensors and the clock;
    ``readout`` takes final states and held tensors. In form ``unrolled``, ``step`` is empty and ``init`` holds all T steps.
    """

    manifest: Manifest
    inputs: list[ValueInfoProto]
    outputs: list[ValueInfoProto]
    init: list[NodeProto]
    step: list[NodeProto]
    readout: list[NodeProto]
    constants: list[TensorProto]
    functions: list[FunctionProto]
    opsets: list[onnx.OperatorSetIdProto]
    ir_version: int
    types: dict[str, int] = field(default_factory=dict)


def read_model(artifact: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """The ONNX model behind a path, the bytes of a file, or a model.

    Raises:
        InputError: there is no such file.
        ArtifactError: it is not an ONNX model.
    """
    if isinstance(artifact, onnx.ModelProto):
        return artifact
    if isinstance(artifact, (str, Path)):
        path = Path(artifact)
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        artifact = path.read_bytes()
    try:
        return onnx.load_model_from_string(artifact)
    except DecodeError as error:
        raise ArtifactError("this is not an ONNX file, or it is cut short; copy or compile it again") from error


def take_apart(model: onnx.ModelProto) -> Parts:
    """Split an artifact into its parts.

    Raises:
        ArtifactError: the file is no artifact, or lacks what its manifest promises.
    """
    manifest = read_manifest(model)
    fed = {info.name: info for info in model.graph.input if info.name in manifest.inputs}
    if len(fed) != len(manifest.inputs):
        raise ArtifactError("the artifact's inputs are not those of its manifest; compile it again")
    main = [node for node in model.graph.node if node.name not in manifest.readout_nodes]
    readout = [node for node in model.graph.node if node.name in manifest.readout_nodes]
    parts = Parts(
        manifest=manifest,
        inputs=[fed[name] for name in manifest.inputs],
        outputs=[info for info in model.graph.output if info.name in manifest.outputs],
        init=main,
        step=[],
        readout=readout,
        constants=list(model.graph.initializer),
        functions=list(model.functions),
        opsets=list(model.opset_import),
        ir_version=model.ir_version,
        types={info.name: info.type.tensor_type.elem_type for info in model.graph.input},
    )
    if manifest.states and manifest.form != "unrolled":
        {"loop": _split_loop, "step": _split_step}[manifest.form](parts, main)
    return parts


def needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes that ``outputs`` depend on, in the given order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output if name):
            kept.append(node)
            wanted.update(name for name in node.input if name)
    return kept[::-1]


def _split_loop(parts: Parts, main: Sequence[NodeProto]) -> None:
    """init, Loop(step): the Loop's body reads held tensors by their names in the graph around it."""
    loop = _only(main, "Loop")
    body = _graph(loop, "body")
    parts.init = [node for node in main if node is not loop]
    parts.step = list(body.node)
    parts.constants += list(body.initializer)


def _split_step(parts: Parts, main: Sequence[NodeProto]) -> None:
    """If(first: init, else: fed states), then the step on states that are called NAME/now."""
    choice = _only(main, "If")
    parts.init = list(_graph(choice, "then_branch").node)
    states = parts.manifest.states
    names = {f"{state.name}{_NOW}": state.name for state in states}
    names |= {f"{name}{_NOW}": name for name in parts.manifest.held}
    parts.step = [_renamed(node, names) for node in main if node is not choice]
    finals = {state.next: state.final for state in states}
    parts.readout = [_renamed(node, {**names, **finals}) for node in parts.readout]
    carried = {f"{name}/in" for name in names.values()} | {CLOCK}
    parts.constants = [tensor for tensor in parts.constants if tensor.name not in carried]


def _only(nodes: Sequence[NodeProto], op: str) -> NodeProto:
    found = [node for node in nodes if node.op_type == op and node.name.startswith("spikec/")]
    if len(found) != 1:
        raise ArtifactError(f"the artifact has {len(found)} {op} nodes over time where one belongs; compile it again")
    return found[0]


def _graph(node: NodeProto, name: str) -> onnx.GraphProto:
    graph = next((attr.g for attr in node.attribute if attr.name == name), None)
    if graph is None:
        raise ArtifactError(f"node '{node.name}' has no {name}; compile the artifact again")
    return graph


def _renamed(node: NodeProto, names: dict[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    return copy
