"""The init graph: the network with every neuron's output replaced by its initial value v(0)."""

from collections.abc import Mapping
from types import MappingProxyType

import onnx
from onnx import helper

from spikec.lowering.network import Network, Neuron
from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN


def init_nodes(network: Network, offsets: Mapping[str, str] = MappingProxyType({})) -> list[onnx.NodeProto]:
    """Nodes of the init graph in order. A tensor keeps its name and holds its value at v(0): that is every x(0).

    ``offsets``: tensors by neuron, which the segments behind see added to v(0).
    """
    nodes: list[onnx.NodeProto] = []
    for node in network.core:
        if node.domain == NEURON_DOMAIN:
            nodes.extend(_initial_value(network.neurons[node.name], offsets.get(node.name)))
        else:
            nodes.append(node)
    return nodes


def zeros_nodes(name: str, zeros: str, zero: str) -> list[onnx.NodeProto]:
    """``zeros`` becomes the scalar tensor ``zero`` spread over the shape of tensor ``name``."""
    shape = f"{zeros}/shape"
    return [helper.make_node("Shape", [name], [shape]), helper.make_node("Expand", [zero, shape], [zeros])]


def prune(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that ``wanted`` tensors depend on, in the given order."""
    needed = set(wanted)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if any(name in needed for name in node.output if name):
            kept.append(node)
            needed.update(name for name in node.input if name)
    return kept[::-1]


def start_of(neuron: Neuron) -> str:
    """The tensor that holds v(0) of a neuron that has an offset."""
    return f"{neuron.name}/value/start"


def _initial_value(neuron: Neuron, offset: str | None) -> list[onnx.NodeProto]:
    """v(0) spread over the shape of f's output; f is evaluated for that shape where it may differ from the input's."""
    shape, nodes = f"{neuron.name}/value/shape", []
    source = neuron.values[0]
    if neuron.parameters or neuron.kind not in ("unary", "encoder"):
        source = f"{neuron.name}/value/f"
        arguments = [*neuron.values, *neuron.parameters]
        nodes.append(helper.make_node(neuron.function, arguments, [source], domain=FUNCTION_DOMAIN))
    start = start_of(neuron) if offset else neuron.output
    nodes.append(helper.make_node("Shape", [source], [shape]))
    nodes.append(helper.make_node("Expand", [neuron.initial, shape], [start]))
    if offset:
        nodes.append(helper.make_node("Add", [start, offset], [neuron.output]))
    return nodes
