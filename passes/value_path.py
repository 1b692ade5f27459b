"""Which tensors depend on the values of the graph's input, and which nodes only read the network out."""

import onnx
import onnx_graphsurgeon as gs

from spikec.passes.operators import NEURON_DOMAIN, WEIGHTED, is_affine, settings_are_affine
from spikec.passes.surgery import element_type

_SHAPE_ONLY = frozenset(("Shape", "Size"))
_LOOKUPS = frozenset(("Gather", "GatherElements", "GatherND"))
_FLOATS = frozenset(
    (
        0,  # unknown
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    )
)


class ValuePath:
    """The value path of a graph whose nodes are in topological order (DESIGN: "Words").

    Inputs that are integers or booleans (token numbers, masks) are *symbols*, and so is what is computed from them:
    known before the first step, they are parameters. Values are made of them by a table lookup (an embedding) or by
    weights; those tensors are ``sources`` of the value path, as the float inputs are.
    """

    def __init__(self, graph: gs.Graph) -> None:
        self.outputs = {tensor.name for tensor in graph.outputs}
        self.sources = [tensor for tensor in graph.inputs if element_type(tensor) in _FLOATS]
        self.tensors: set[str] = {tensor.name for tensor in self.sources}
        self.symbols: set[str] = {tensor.name for tensor in graph.inputs} - self.tensors
        for node in graph.nodes:
            if node.op not in _SHAPE_ONLY:
                self._follow(node)
        self.readout = _readout_nodes(graph, self)

    def _follow(self, node: gs.Node) -> None:
        names = {tensor.name for tensor in node.outputs}
        if self.positions(node):
            self.tensors |= names
        elif any(tensor.name in self.symbols for tensor in node.inputs):
            if _makes_values(node):
                self.sources += node.outputs
                self.tensors |= names
            else:
                self.symbols |= names

    def positions(self, node: gs.Node) -> tuple[int, ...]:
        """Positions of the inputs of ``node`` that carry values."""
        return tuple(i for i, tensor in enumerate(node.inputs) if tensor.name in self.tensors)

    def on_path(self, node: gs.Node) -> bool:
        """Whether ``node`` turns values into values (reading a shape does not)."""
        return node.op not in _SHAPE_ONLY and bool(self.positions(node))

    def is_affine(self, node: gs.Node) -> bool:
        """Whether ``node`` is affine in its value inputs; in booleans and integers, which jump, nothing is."""
        positions = self.positions(node)
        standard = node.domain in (None, "", "ai.onnx")
        jumps = any(is_discrete(node.inputs[i]) for i in positions)
        return standard and not jumps and is_affine(node.op, positions) and settings_are_affine(node)

    def is_readout(self, node: gs.Node) -> bool:
        """Whether ``node`` lies at or behind a nonlinearity that has no weights behind it and feeds outputs only."""
        return node.name in self.readout

    def is_nonlinearity(self, node: gs.Node) -> bool:
        """Whether ``node`` has to become a neuron: on the path, not affine, not part of the readout."""
        return self.on_path(node) and not self.is_affine(node) and not self.is_readout(node)


def is_discrete(tensor: gs.Tensor) -> bool:
    """Whether ``tensor`` is known to hold booleans or integers: no sum of events can follow it."""
    return element_type(tensor) not in _FLOATS


def _makes_values(node: gs.Node) -> bool:
    """Whether a node that reads symbols gives values: a lookup in a table of floats, or weights."""
    if node.op in _LOOKUPS:
        return isinstance(node.inputs[0], gs.Constant) and element_type(node.inputs[0]) in _FLOATS
    return node.op in WEIGHTED


def _readout_nodes(graph: gs.Graph, path: ValuePath) -> set[str]:
    """Names of the nodes at or behind a nonlinearity from which no weight can be reached."""
    reaches_weight: set[str] = set()
    for node in reversed(graph.nodes):
        weighted = node.op in WEIGHTED or node.domain == NEURON_DOMAIN
        weighted = weighted or any(
            consumer.name in reaches_weight for tensor in node.outputs for consumer in tensor.outputs
        )
        if weighted:
            reaches_weight.add(node.name)
    readout: set[str] = set()
    for node in graph.nodes:
        if node.name in reaches_weight or not path.on_path(node):
            continue
        behind = any(producer.name in readout for tensor in node.inputs for producer in tensor.inputs)
        if behind or not path.is_affine(node):
            readout.add(node.name)
    return readout
