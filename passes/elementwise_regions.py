"""Finds the elementwise regions of a graph: what FuseElementwise makes one function of."""

from dataclasses import dataclass

import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise
from spikec.passes.value_path import ValuePath

MOST_INPUTS = 2  # a neuron keeps an input estimate for each: more would cost more state than it saves


@dataclass
class Region:
    """Elementwise nodes in topological order, ending in ``end``; ``inputs`` are the value tensors they start from."""

    nodes: list[gs.Node]
    inputs: list[gs.Tensor]

    @property
    def end(self) -> gs.Node:
        """The node whose output is the region's output."""
        return self.nodes[-1]


def find_regions(graph: gs.Graph) -> list[Region]:
    """All maximal elementwise regions with a nonlinearity at their end (nodes of ``graph`` in topological order)."""
    return _Finder(graph).regions()


class _Finder:
    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.path = ValuePath(graph)
        self.order = {node.name: i for i, node in enumerate(graph.nodes)}
        self.fusable = {node.name for node in graph.nodes if self._is_fusable(node)}
        self.roots: dict[str, tuple[gs.Tensor, ...]] = {}
        for node in graph.nodes:
            if node.name in self.fusable:
                self.roots[node.outputs[0].name] = self._roots(node)

    def regions(self) -> list[Region]:
        """Walk backwards from what must exist as a tensor; what only feeds a region's inside need not."""
        needed = {tensor.name for tensor in self.graph.outputs}
        found: list[Region] = []
        for node in reversed(self.graph.nodes):
            if not any(tensor.name in needed for tensor in node.outputs):
                continue
            region = self._region(node) if node.name in self.fusable and self._ends_region(node) else None
            if region:
                found.append(region)
            needed.update(tensor.name for tensor in (region.inputs if region else node.inputs))
        return found

    def _is_fusable(self, node: gs.Node) -> bool:
        values = self.path.positions(node)
        constants = all(isinstance(t, gs.Constant) or not t.name for i, t in enumerate(node.inputs) if i not in values)
        plain = len(node.outputs) == 1 and is_elementwise(node.op, node.domain)
        return plain and constants and bool(values) and not self.path.is_readout(node)

    def _values(self, node: gs.Node) -> list[gs.Tensor]:
        return _distinct([node.inputs[i] for i in self.path.positions(node)])

    def _origins(self, tensor: gs.Tensor) -> tuple[gs.Tensor, ...]:
        return self.roots.get(tensor.name, (tensor,))

    def _roots(self, node: gs.Node) -> tuple[gs.Tensor, ...]:
        """The tensors that the region ending in ``node`` starts from.

        Only a nonlinearity may join two of them: an Add of two tensors is exact in the affine segment.
        """
        values = self._values(node)
        joint = _distinct([root for tensor in values for root in self._origins(tensor)])
        if len(joint) == 1:
            return tuple(joint)
        if self.path.is_affine(node):
            return (node.outputs[0],)
        return tuple(joint if len(joint) <= MOST_INPUTS else values)

    def _ends_region(self, node: gs.Node) -> bool:
        """A nonlinearity ends a region; so does a sum of two nonlinear branches of one tensor."""
        if not self.path.is_affine(node):
            return True
        if self.roots[node.outputs[0].name] == (node.outputs[0],):
            return False
        branches = [tensor for tensor in self._values(node) if self._is_nonlinear_branch(node, tensor)]
        return len(branches) > 1

    def _is_nonlinear_branch(self, node: gs.Node, tensor: gs.Tensor) -> bool:
        roots = self.roots[node.outputs[0].name]
        if any(tensor is root for root in roots):
            return False
        return any(not self.path.is_affine(inner) for inner in self._collect([tensor], roots))

    def _collect(self, starts: list[gs.Tensor], roots: tuple[gs.Tensor, ...]) -> list[gs.Node]:
        """Nodes between ``roots`` and ``starts``, in topological order."""
        nodes: dict[str, gs.Node] = {}
        pending = list(starts)
        while pending:
            tensor = pending.pop()
            if any(tensor is root for root in roots):
                continue
            node = tensor.inputs[0]
            if node.name not in nodes:
                nodes[node.name] = node
                pending.extend(self._values(node))
        return sorted(nodes.values(), key=lambda n: self.order[n.name])

    def _region(self, end: gs.Node) -> Region:
        roots = self.roots[end.outputs[0].name]
        nodes = self._collect([end.outputs[0]], roots)
        inputs = self._inputs(nodes)
        for head in nodes[:-1]:  # affine heads stay in the segment where that costs no further input
            trimmed = [node for node in nodes if node is not head]
            if self.path.is_affine(head) and self._is_head(head, nodes) and len(self._inputs(trimmed)) <= len(inputs):
                nodes, inputs = trimmed, self._inputs(trimmed)
        return Region(nodes, inputs)

    def _inputs(self, nodes: list[gs.Node]) -> list[gs.Tensor]:
        inside = {node.outputs[0].name for node in nodes}
        return _distinct([t for node in nodes for t in self._values(node) if t.name not in inside])

    def _is_head(self, node: gs.Node, nodes: list[gs.Node]) -> bool:
        inside = {other.outputs[0].name for other in nodes}
        return all(tensor.name not in inside for tensor in self._values(node))


def _distinct(tensors: list[gs.Tensor]) -> list[gs.Tensor]:
    return list({tensor.name: tensor for tensor in tensors}.values())
