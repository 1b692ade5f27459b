"""Finds the elementwise regions of a graph: what FuseElementwise makes one function of."""

import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise
from spikec.passes.regions import Region, RegionFinder, distinct
from spikec.passes.value_path import is_discrete

MOST_INPUTS = 2  # a neuron keeps an input estimate for each: more would cost more state than it saves


def find_regions(graph: gs.Graph) -> list[Region]:
    """All maximal elementwise regions with a nonlinearity at their end (nodes of ``graph`` in topological order)."""
    return _Finder(graph).regions()


class _Finder(RegionFinder):
    def __init__(self, graph: gs.Graph) -> None:
        super().__init__(graph)
        self.roots: dict[str, tuple[gs.Tensor, ...]] = {}
        for node in graph.nodes:
            if node.name in self.members:
                self.roots[node.outputs[0].name] = self._roots(node)

    def allows(self, node: gs.Node) -> bool:
        return is_elementwise(node.op, node.domain)

    def region(self, end: gs.Node) -> Region | None:
        if not self._ends_region(end):
            return None
        roots = self.roots[end.outputs[0].name]
        nodes = self.between(roots, [end.outputs[0]])
        if any(map(is_discrete, roots)) or (len(nodes) > 1 and len(roots) > MOST_INPUTS):
            return None
        inputs = self.inputs(nodes)
        for head in nodes[:-1]:  # affine heads stay in the segment where that costs no further input
            trimmed = [node for node in nodes if node is not head]
            if self.path.is_affine(head) and self._is_head(head, nodes) and len(self.inputs(trimmed)) <= len(inputs):
                nodes, inputs = trimmed, self.inputs(trimmed)
        return Region(nodes, inputs)

    def _origins(self, tensor: gs.Tensor) -> tuple[gs.Tensor, ...]:
        return self.roots.get(tensor.name, (tensor,))

    def _roots(self, node: gs.Node) -> tuple[gs.Tensor, ...]:
        """The tensors that the region ending in ``node`` starts from.

        Only a nonlinearity may join two of them: an Add of two tensors is exact in the affine segment.
        """
        values = self.values(node)
        joint = distinct([root for tensor in values for root in self._origins(tensor)])
        if len(joint) == 1:
            return tuple(joint)
        if self.path.is_affine(node):
            return (node.outputs[0],)
        if len(joint) <= MOST_INPUTS:
            return tuple(joint)
        return tuple(self._traced(values) if any(map(is_discrete, values)) else values)

    def _traced(self, values: list[gs.Tensor]) -> list[gs.Tensor]:
        """Where ``values`` come from: as near as leaves few tensors and none that is discrete, if anything does.

        The tensor that was made last is traced first: then no tensor comes up twice.
        """
        starts = {tensor.name: tensor for tensor in values}
        while len(starts) > MOST_INPUTS or any(map(is_discrete, starts.values())):
            makers = [node for tensor in starts.values() for node in tensor.inputs if node.name in self.members]
            if not makers:
                break
            last = max(makers, key=lambda node: self.order[node.name])
            del starts[last.outputs[0].name]
            starts.update((tensor.name, tensor) for tensor in self.values(last))
        return list(starts.values())

    def _ends_region(self, node: gs.Node) -> bool:
        """A nonlinearity ends a region, but for one that makes booleans or integers: no spikes carry those.

        So does a sum of two nonlinear branches of one tensor.
        """
        if is_discrete(node.outputs[0]):
            return False
        if not self.path.is_affine(node):
            return True
        if self.roots[node.outputs[0].name] == (node.outputs[0],):
            return False
        branches = [tensor for tensor in self.values(node) if self._is_nonlinear_branch(node, tensor)]
        return len(branches) > 1

    def _is_nonlinear_branch(self, node: gs.Node, tensor: gs.Tensor) -> bool:
        roots = self.roots[node.outputs[0].name]
        if any(tensor is root for root in roots):
            return False
        return any(not self.path.is_affine(inner) for inner in self.between(roots, [tensor]))

    def _is_head(self, node: gs.Node, nodes: list[gs.Node]) -> bool:
        inside = {other.outputs[0].name for other in nodes}
        return all(tensor.name not in inside for tensor in self.values(node))
