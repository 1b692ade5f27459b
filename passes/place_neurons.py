"""Every nonlinearity becomes a neuron node: level 3."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.operators import (
    CONTROL_FLOW,
    FUNCTION_DOMAIN,
    NEURON_DOMAIN,
    READOUT_ONLY,
    is_inside_only,
    neuron_kind,
    settings_are_portable,
)
from spikec.passes.records import Record
from spikec.passes.region_function import add_function, operators_of
from spikec.passes.surgery import constant, function_of
from spikec.passes.value_path import ValuePath

STRICT_KINDS = frozenset(("unary", "binary", "product"))
ALL_KINDS = STRICT_KINDS | {"many", "row", "window"}


class PlaceNeurons:
    """Puts a neuron in the place of each nonlinearity.

    before: x -> Relu -> y
    after:  x -> spikec::Relu(amplitude, initial; kind="unary", values=1) -> y

    The neuron's function has f as its body: read as ONNX, the network computes what it did before.
    """

    def __init__(self, granularity: str = "composite") -> None:
        self.kinds = STRICT_KINDS if granularity == "strict" else ALL_KINDS

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Replace all nonlinearities on the value path.

        Raises:
            UnsupportedNode: for the first that no neuron can hold.
        """
        record, path = Record(), ValuePath(graph)
        for node in [n for n in graph.nodes if n.domain != NEURON_DOMAIN and path.is_nonlinearity(n)]:
            refusal = why_no_neuron(node, path, self.kinds)
            if refusal:
                raise UnsupportedNode(node.name, operators_of(node.op), *refusal)
            place_neuron(graph, node, path.positions(node), str(kind_of(node, path)))
            record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def kind_of(node: gs.Node, path: ValuePath) -> str | None:
    """The kind of neuron for ``node``; positions that read the same tensor count once: Mul(x, x) is unary.

    A product of a tensor with itself is a product all the same, of one input.
    """
    positions = path.positions(node)
    first = {node.inputs[i].name: i for i in reversed(positions)}
    return neuron_kind(node, first.values()) or neuron_kind(node, positions)


def why_no_neuron(node: gs.Node, path: ValuePath, kinds: frozenset[str] = ALL_KINDS) -> tuple[str, str] | None:
    """Why no neuron can hold ``node`` and what the user can do, or None where one can."""
    if node.op in CONTROL_FLOW:
        way_out = "trace the model so that the branch or loop becomes plain operators"
        return "control flow that depends on values", way_out
    kind = kind_of(node, path)
    if kind is None and node.op in READOUT_ONLY:
        return "a selection inside the network", "make it the last operator, behind all weights, where it is a readout"
    if kind is None and is_inside_only(node.op, node.domain):
        return _why_not_inside(node)
    if kind is None:
        operator = f"operator of domain {node.domain}" if node.domain else "operator"
        way_out = "replace it in the model or ask for it with its ONNX definition"
        return f"{operator} has no spiking form yet", way_out
    if any(output.outputs or output.name in path.outputs for output in node.outputs[1:]):
        return "more than its first output is used", "export the model so that only the first output is used"
    if kind not in kinds:
        return f"a {kind} neuron is not strict", "compile with --granularity composite"
    return None


def _why_not_inside(node: gs.Node) -> tuple[str, str]:
    """Why a comparison, a choice or a cast is still there: where it is part of a neuron, it has gone into it."""
    if not settings_are_portable(node):
        return "a cast to a type that processors round to in their own ways", "cast to int32 or int64, or leave it out"
    way_out = (
        "let what it is made of and what it decides be elementwise in two tensors at most, all else being constants, "
        "or put it behind all weights, where it is a readout"
    )
    return "booleans or integers that are no part of one elementwise neuron", way_out


def place_neuron(graph: gs.Graph, node: gs.Node, positions: tuple[int, ...], kind: str, **attrs: str) -> gs.Node:
    """Replace ``node`` by the neuron of that kind; until calibrated, its amplitude is 1 and its initial value 0."""
    values = list({node.inputs[i].name: node.inputs[i] for i in positions}.values())
    function = function_of(graph, FUNCTION_DOMAIN, node.op) if node.domain == FUNCTION_DOMAIN else None
    parameters = list(node.inputs[len(values) :])
    if function is None:
        function, parameters = add_function(graph, [node], values)
    _add_neuron_function(graph, function)
    output = node.outputs[0]
    node.outputs.clear()
    settings = [constant(f"{node.name}/amplitude", np.ones((), np.float32)),
                constant(f"{node.name}/initial", np.zeros((), np.float32))]  # fmt: skip
    neuron = gs.Node(
        function.name,
        node.name,
        {"kind": kind, "values": len(values), "coding": "sign", **attrs},
        [*values, *parameters, *settings],
        [output],
        domain=NEURON_DOMAIN,
    )
    graph.nodes.append(neuron)
    return neuron


def _add_neuron_function(graph: gs.Graph, function: gs.Function) -> None:
    """Level 3 reads a neuron as f: ``spikec::NAME(inputs, parameters, amplitude, initial)`` is ``spikec.f::NAME``."""
    if function_of(graph, NEURON_DOMAIN, function.name) is not None:
        return
    arguments = [gs.Variable(tensor.name) for tensor in function.inputs]
    settings = [gs.Variable("amplitude"), gs.Variable("initial")]
    output = gs.Variable("y")
    call = gs.Node(function.name, "", {}, arguments, [output], domain=FUNCTION_DOMAIN)
    attrs = {"kind": "unary", "values": 1, "coding": "sign"}
    graph.functions.append(
        gs.Function(function.name, NEURON_DOMAIN, [call], [*arguments, *settings], [output], attrs=attrs)
    )
