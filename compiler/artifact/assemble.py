"""Puts init, step and readout into one model: forms loop, unrolled and step."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto, helper, numpy_helper

from spikec.errors import ModelError
from spikec.lowering.recurrent import Recurrent
from spikec.lowering.step_graph import CLOCK
from spikec.passes import UnrollTime
from spikec.passes.graph_io import IR_VERSION, export_model, import_graph
from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN

LOOP, FIRST = "spikec/time", "spikec/first"
_STEPS, _TRUE, _START = "spikec/steps", "spikec/true", "spikec/start"


def assemble(network: Recurrent, form: str) -> onnx.ModelProto:
    """The artifact of ``network`` in that form, without its manifest.

    - ``loop``: init, a Loop over the step, readout.
    - ``unrolled``: init, the step once for each t with every neuron spelled out in standard operators, readout.
    - ``step``: one time step a call: ``If`` the clock is 0 the states come from init, else from the inputs.
    """
    return _FORMS[form](network)


def _loop(network: Recurrent) -> onnx.ModelProto:
    nodes = list(network.init)
    extra = []
    if network.states:
        initial = [state.initial for state in network.states]
        outputs = [state.final for state in network.states]
        nodes.append(helper.make_node("Loop", [_STEPS, _TRUE, *initial], outputs, name=LOOP, body=_body(network)))
        steps = np.array(network.steps, np.int64)
        extra = [numpy_helper.from_array(steps, _STEPS), numpy_helper.from_array(np.array(True), _TRUE)]
    return assemble_part(network, [*nodes, *network.readout_nodes()], network.inputs, network.outputs, extra)


def _unrolled(network: Recurrent) -> onnx.ModelProto:
    spelled = onnx.inliner.inline_local_functions(_loop(network))
    graph, _ = UnrollTime()(import_graph(spelled))
    return export_model(graph)


def _step(network: Recurrent) -> onnx.ModelProto:
    if not network.states:
        return _loop(network)
    carried = [(state.initial, state.name) for state in network.states]
    carried += [(name, name) for name in network.held]
    kinds = [network.carried[initial][0] for initial, _ in carried]
    first = helper.make_node("Equal", [CLOCK, _START], [FIRST], name=FIRST)
    branch = helper.make_node(
        "If",
        [FIRST],
        [_before(name) for _, name in carried],
        name="spikec/states",
        then_branch=_branch("init", network.init, [initial for initial, _ in carried], kinds),
        else_branch=_branch("carried", _identities(carried), [f"{name}/kept" for _, name in carried], kinds),
    )
    renamed = {name: _before(name) for _, name in carried}
    finals = {state.final: state.next for state in network.states}
    body = [_rename(node, renamed) for node in network.step]
    readout = [_rename(node, {**renamed, **finals}) for node in network.readout_nodes()]
    keep = [helper.make_node("Identity", [_before(name)], [f"{name}/out"]) for name in network.held]
    inputs = [helper.make_tensor_value_info(CLOCK, TensorProto.INT64, [])]
    inputs += [_typed(network, _fed(name), initial) for initial, name in carried]
    outputs = [_typed(network, state.next, state.initial) for state in network.states]
    outputs += [_typed(network, f"{name}/out", name) for name in network.held]
    extra = [numpy_helper.from_array(np.array(0, np.int64), name) for name in (CLOCK, _START)]
    extra += [_nothing(info) for info in inputs[1:]]
    nodes = [first, branch, *body, *keep, *readout]
    return assemble_part(network, nodes, [*network.inputs, *inputs], [*network.outputs, *outputs], extra)


_FORMS: dict[str, Callable[[Recurrent], onnx.ModelProto]] = {"loop": _loop, "unrolled": _unrolled, "step": _step}


def _body(network: Recurrent) -> onnx.GraphProto:
    """The Loop's body: (t, condition, states) -> (condition, states); held tensors come from the graph around it."""
    go_on = helper.make_node("Identity", ["spikec/go"], ["spikec/go_next"])
    inputs = [
        helper.make_tensor_value_info(CLOCK, TensorProto.INT64, []),
        helper.make_tensor_value_info("spikec/go", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info("spikec/go_next", TensorProto.BOOL, [])]
    inputs += [_untyped(state.name) for state in network.states]
    outputs += [_untyped(state.next) for state in network.states]
    return helper.make_graph([*network.step, go_on], "step", inputs, outputs)


def _branch(name: str, nodes: list[onnx.NodeProto], outputs: list[str], kinds: list[int]) -> onnx.GraphProto:
    """A branch of the If. Branches return tensors of their own, so what they only pass on is wired through."""
    produced = {output for node in nodes for output in node.output}
    wires: list[onnx.NodeProto] = []
    results: list[str] = []
    seen: set[str] = set()
    for output in outputs:
        if output in produced and output not in seen:
            results.append(output)
        else:
            wires.append(helper.make_node("Identity", [output], [f"{output}/{name}{len(wires)}"]))
            results.append(wires[-1].output[0])
        seen.add(output)
    infos = [_untyped(result, kind) for result, kind in zip(results, kinds, strict=True)]
    return helper.make_graph([*nodes, *wires], name, [], infos)


def _identities(carried: list[tuple[str, str]]) -> list[onnx.NodeProto]:
    return [helper.make_node("Identity", [_fed(name)], [f"{name}/kept"]) for _, name in carried]


def _fed(name: str) -> str:
    return f"{name}/in"


def _before(name: str) -> str:
    return f"{name}/now"


def _rename(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    return copy


def _untyped(name: str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """A tensor of any shape: inside the graph, states take the batch's size when the network runs."""
    return helper.make_tensor_value_info(name, kind, None)


def _typed(network: Recurrent, name: str, tensor: str) -> onnx.ValueInfoProto:
    """An input or output of the model that carries ``tensor``; its first dimension is open for the default below."""
    kind, shape = network.carried[tensor]
    if shape is None:
        raise ModelError(f"the rank of '{tensor}' is not known, which form step needs; use form loop")
    dims = [dim if isinstance(dim, int) and i else f"{name}:{i}" for i, dim in enumerate(shape)]
    return helper.make_tensor_value_info(name, kind, dims)


def _nothing(info: onnx.ValueInfoProto) -> onnx.TensorProto:
    """The default of a state input: an empty tensor, never read because at t = 0 the states come from init."""
    dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    return helper.make_tensor(info.name, info.type.tensor_type.elem_type, dims, [0] if not dims else [])


def assemble_part(
    network: Recurrent,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    extra: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """A model of some of the network's nodes, with its constants and functions."""
    graph = helper.make_graph(nodes, "spikec", inputs, outputs, [*network.constants, *extra])
    imports = [helper.make_opsetid("", network.opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in (NEURON_DOMAIN, FUNCTION_DOMAIN)]
    model = helper.make_model(graph, opset_imports=imports, functions=network.functions, producer_name="spikec")
    model.ir_version = IR_VERSION
    return model
