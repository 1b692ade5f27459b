"""Which tensors depend on the values of the graph's input, and which nodes only read the network out."""

import onnx_graphsurgeon as gs

from spikec.passes.operators import NEURON_DOMAIN, WEIGHTED, is_affine, settings_are_affine

_SHAPE_ONLY = frozenset(("Shape", "Size"))


class ValuePath:
    """The value path of a graph whose nodes are in topological order (DESIGN: "Words")."""

    def __init__(self, graph: gs.Graph) -> None:
        self.outputs = {tensor.name for tensor in graph.outputs}
        self.tensors: set[str] = {tensor.name for tensor in graph.inputs}
        for node in graph.nodes:
            if node.op not in _SHAPE_ONLY and self.positions(node):
                self.tensors.update(tensor.name for tensor in node.outputs)
        self.readout = _readout_nodes(graph, self)

    def positions(self, node: gs.Node) -> tuple[int, ...]:
        """Positions of the inputs of ``node`` that carry values."""
        return tuple(i for i, tensor in enumerate(node.inputs) if tensor.name in self.tensors)

    def on_path(self, node: gs.Node) -> bool:
        """Whether ``node`` turns values into values (reading a shape does not)."""
        return node.op not in _SHAPE_ONLY and bool(self.positions(node))

    def is_affine(self, node: gs.Node) -> bool:
        """Whether ``node`` is affine in its value inputs."""
        standard = node.domain in (None, "", "ai.onnx")
        return standard and is_affine(node.op, self.positions(node)) and settings_are_affine(node)

    def is_readout(self, node: gs.Node) -> bool:
        """Whether ``node`` lies at or behind a nonlinearity that has no weights behind it and feeds outputs only."""
        return node.name in self.readout

    def is_nonlinearity(self, node: gs.Node) -> bool:
        """Whether ``node`` has to become a neuron: on the path, not affine, not part of the readout."""
        return self.on_path(node) and not self.is_affine(node) and not self.is_readout(node)


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
