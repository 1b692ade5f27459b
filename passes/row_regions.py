"""Finds the row regions of a graph: what FuseRows makes one function of."""

import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise, is_reduction
from spikec.passes.records import Skip
from spikec.passes.regions import Region, RegionFinder
from spikec.passes.row_forms import RowForms
from spikec.passes.value_path import is_discrete


def find_rows(graph: gs.Graph) -> tuple[list[Region], list[Skip]]:
    """All row regions, the last first, and the near misses: a reduced tensor meets a larger one, and it is none."""
    finder = _Finder(graph)
    return finder.regions(), finder.refused


class _Finder(RegionFinder):
    def __init__(self, graph: gs.Graph) -> None:
        super().__init__(graph)
        self.refused: list[Skip] = []
        self.reduced: set[str] = set()  # tensors that come from reductions, no other value having joined them
        for node in graph.nodes:
            if self._is_reduced(node):
                self.reduced.add(node.outputs[0].name)

    def allows(self, node: gs.Node) -> bool:
        reshapes = node.domain in (None, "", "ai.onnx") and node.op in ("Squeeze", "Unsqueeze")
        return reshapes or is_elementwise(node.op, node.domain) or is_reduction(node.op, node.domain)

    def region(self, end: gs.Node) -> Region | None:
        """Of all that keep their input's shape the one with the most nonlinearities, and of those the smallest.

        So consecutive rows are one, and an affine head stays in the segment.
        """
        if not is_elementwise(end.op, end.domain) or is_discrete(end.outputs[0]):
            return None
        found, starts = self._trace(end)
        shaped = [region for region in found if _keeps_shape(region)]
        if not shaped:
            self._refuse(end, found, starts)
            return None
        best = max(shaped, key=lambda region: sum(not self.path.is_affine(node) for node in region.nodes))
        return best if self._is_row(best) else None

    def _is_reduced(self, node: gs.Node) -> bool:
        values = self.values(node)
        if not values or is_reduction(node.op, node.domain):
            return bool(values)
        passes = self.allows(node) or node.op in ("Expand", "Reshape")
        return passes and all(tensor.name in self.reduced for tensor in values)

    def _trace(self, end: gs.Node) -> tuple[list[Region], list[gs.Tensor]]:
        """Regions before ``end`` that start from one tensor, growing; and the tensors where members end.

        The tensor that was made last is traced to its producer first: then no tensor comes up twice.
        """
        found, nodes = [], [end]
        starts = {tensor.name: tensor for tensor in self.values(end)}
        while True:
            if len(starts) == 1:
                found.append(Region(self.sort(nodes), list(starts.values())))
            producers = [node for tensor in starts.values() for node in tensor.inputs]
            last = max(producers, key=lambda node: self.order[node.name], default=None)
            if last is None or last.name not in self.members:
                return found, list(starts.values())
            nodes.append(last)
            del starts[last.outputs[0].name]
            starts.update((tensor.name, tensor) for tensor in self.values(last))

    def _is_row(self, region: Region) -> bool:
        """Whether something inside is reduced, and whether the end is worth having inside.

        It is where it is a nonlinearity, or where it spares a neuron of full size: it adds two branches with one in
        them, or one that was reduced after it. In x + f(x) the sum is exact in the segment.
        """
        if not any(is_reduction(node.op, node.domain) for node in region.nodes):
            return False
        forms = RowForms(region.inputs[0], region.nodes)
        branches = [tensor for tensor in self.values(region.end) if self._is_heavy(tensor, region, forms)]
        reduced = [tensor for tensor in branches if not forms.is_whole(tensor)]
        return not self.path.is_affine(region.end) or len(branches) > 1 or bool(reduced)

    def _is_heavy(self, tensor: gs.Tensor, region: Region, forms: RowForms) -> bool:
        """Whether a nonlinearity of full size lies before ``tensor``."""
        before = self.between(region.inputs, [tensor])
        return any(forms.is_whole(node.outputs[0]) and not self.path.is_affine(node) for node in before)

    def _refuse(self, end: gs.Node, found: list[Region], starts: list[gs.Tensor]) -> None:
        """Note why the nonlinearity ``end`` is no row although a reduced tensor meets a larger one in it."""
        reduced = [tensor.name in self.reduced for tensor in self.values(end)]
        if self.path.is_affine(end) or all(reduced) or not any(reduced):
            return
        if not found:
            reason = f"it starts from several tensors: {', '.join(sorted(t.name for t in starts))}"
        elif all(region.inputs[0].shape is None for region in found):
            reason = f"the rank of '{found[-1].inputs[0].name}', which it starts from, is not known"
        else:
            reason = f"its output is not known to have the shape of '{found[-1].inputs[0].name}', which it starts from"
        self.refused.append(Skip(end.name, reason))


def _keeps_shape(region: Region) -> bool:
    root = region.inputs[0]
    return (
        root.shape is not None
        and not is_discrete(root)
        and RowForms(root, region.nodes).is_whole(region.end.outputs[0])
    )
