"""Takes an artifact apart: init, step and readout as lists of nodes, whatever form the file has."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx
from onnx import FunctionProto, NodeProto, TensorProto, ValueInfoProto

from spikec.runtime.errors import ArtifactError
from spikec.runtime.manifest import Manifest, read_manifest
from spikec.runtime.model_file import check_graph

CLOCK = "spikec/t"
OWN_DOMAIN = "spikec"  # of the functions that the compiler wrote, with whatever stands behind a dot
_NOW = "/now"  # form step: a state after the choice between init and the fed value


@dataclass
class Parts:
    """An artifact's graphs, in the names of the manifest.

    ``init`` computes states and held tensors from the inputs; ``step`` takes states, held tensors and the clock;
    ``readout`` takes final states and held tensors. In form ``unrolled``, ``init`` holds all T steps and ``step`` none.
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


def take_apart(model: onnx.ModelProto) -> Parts:
    """Split an artifact into its parts.

    Raises:
        ArtifactError: the file is no artifact, or lacks what its manifest promises.
    """
    manifest = read_manifest(model)
    check_graph(model)
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
        types={
            **{info.name: info.type.tensor_type.elem_type for info in model.graph.input},
            **dict(zip(manifest.held, manifest.held_types, strict=False)),
        },
    )
    if manifest.states and manifest.form != "unrolled":
        {"loop": _split_loop, "step": _split_step}[manifest.form](parts, main)
    _check_promises(parts)
    return parts


def needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes that ``outputs`` depend on, in the given order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output if name):
            kept.append(node)
            wanted.update(name for name in node.input if name)
    return kept[::-1]


def _check_promises(parts: Parts) -> None:
    """What the manifest names and what running asks for has to be in the graph, neurons' functions included."""
    manifest = parts.manifest
    last = f"@{manifest.steps - 1}" if manifest.form == "unrolled" else ""
    read = {name for node in parts.readout for name in node.input}
    # unrolled, a value that only the next step would need is left out of the last one
    states = [state for state in manifest.states if state.final in read or not last]
    promised = {*manifest.held, *(f"{state.next}{last}" for state in states)}
    promised |= {f"{neuron.event}{last}" for neuron in manifest.neurons}
    promised |= {state.initial for state in manifest.states if not last}
    made = {name for node in [*parts.init, *parts.step] for name in node.output}
    made |= {info.name for info in parts.inputs} | {tensor.name for tensor in parts.constants}
    known = {(function.domain, function.name) for function in parts.functions}
    nodes = [
        *parts.init,
        *parts.step,
        *parts.readout,
        *(node for function in parts.functions for node in function.node),
    ]
    lacking = sorted(n.op_type for n in nodes if n.domain.startswith(OWN_DOMAIN) and (n.domain, n.op_type) not in known)
    lacking += sorted(promised - made) + sorted(manifest.readout_nodes - {node.name for node in parts.readout})
    lacking += sorted(set(manifest.outputs) - {info.name for info in parts.outputs})
    if lacking:
        raise ArtifactError(f"the artifact's graph lacks '{lacking[0]}', which it needs; copy or compile it again")


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
    for attribute in node.attribute:
        if attribute.name == name:
            graph: onnx.GraphProto = attribute.g
            return graph
    raise ArtifactError(f"node '{node.name}' has no {name}; compile the artifact again")


def _renamed(node: NodeProto, names: dict[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    return copy
