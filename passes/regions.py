"""Regions of a graph that can become one function: what the fusing passes share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from spikec.passes.operators import FUNCTION_DOMAIN, settings_are_portable
from spikec.passes.records import Record
from spikec.passes.region_function import add_function
from spikec.passes.value_path import ValuePath


@dataclass
class Region:
    """Nodes in topological order, ending in ``end``; ``inputs`` are the value tensors they start from."""

    nodes: list[gs.Node]
    inputs: list[gs.Tensor]

    @property
    def end(self) -> gs.Node:
        """The node whose output is the region's output."""
        return self.nodes[-1]


class RegionFinder(ABC):
    """Looks for regions from the end of a graph (nodes in topological order) to its beginning."""

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.path = ValuePath(graph)
        self.order = {node.name: i for i, node in enumerate(graph.nodes)}
        self.members = {node.name for node in graph.nodes if self._is_member(node)}

    @abstractmethod
    def allows(self, node: gs.Node) -> bool:
        """Whether the operator of ``node`` may stand in a region."""

    @abstractmethod
    def region(self, end: gs.Node) -> Region | None:
        """The region that ends in ``end``, one of the members."""

    def regions(self) -> list[Region]:
        """Walk backwards from what must exist as a tensor; what only feeds a region's inside need not."""
        needed = {tensor.name for tensor in self.graph.outputs}
        found: list[Region] = []
        for node in reversed(self.graph.nodes):
            if not any(tensor.name in needed for tensor in node.outputs):
                continue
            region = self.region(node) if node.name in self.members else None
            if region:
                found.append(region)
            needed.update(tensor.name for tensor in (region.inputs if region else node.inputs))
        return found

    def values(self, node: gs.Node) -> list[gs.Tensor]:
        """The value inputs of ``node``, each once."""
        return distinct([node.inputs[i] for i in self.path.positions(node)])

    def inputs(self, nodes: Sequence[gs.Node]) -> list[gs.Tensor]:
        """The value tensors that ``nodes`` read and do not make."""
        inside = {node.outputs[0].name for node in nodes}
        return distinct([t for node in nodes for t in self.values(node) if t.name not in inside])

    def between(self, roots: Collection[gs.Tensor], ends: Sequence[gs.Tensor]) -> list[gs.Node]:
        """The nodes between ``roots`` and ``ends``, in topological order."""
        nodes: dict[str, gs.Node] = {}
        pending = list(ends)
        while pending:
            tensor = pending.pop()
            if any(tensor is root for root in roots):
                continue
            node = tensor.inputs[0]
            if node.name not in nodes:
                nodes[node.name] = node
                pending.extend(self.values(node))
        return self.sort(nodes.values())

    def sort(self, nodes: Collection[gs.Node]) -> list[gs.Node]:
        """``nodes`` in topological order."""
        return sorted(nodes, key=lambda node: self.order[node.name])

    def _is_member(self, node: gs.Node) -> bool:
        values = self.path.positions(node)
        constants = all(isinstance(t, gs.Constant) or not t.name for i, t in enumerate(node.inputs) if i not in values)
        plain = len(node.outputs) == 1 and self.allows(node) and settings_are_portable(node)
        return plain and constants and bool(values) and not self.path.is_readout(node)


def fuse(graph: gs.Graph, region: Region, record: Record, prefix: str = "") -> None:
    """Put a call of a function, its name beginning with ``prefix``, in the place of the region's last node.

    What lies before that node goes in the graph's next cleanup when nothing else uses it.
    """
    record.rewrote.append(region.end.name)
    record.absorbed.update((node.outputs[0].name, region.end.name) for node in region.nodes[:-1])
    function, parameters = add_function(graph, region.nodes, region.inputs, prefix)
    end, output = region.end, region.end.outputs[0]
    end.outputs.clear()
    arguments = [*region.inputs, *parameters]
    graph.nodes.append(gs.Node(function.name, end.name, {}, arguments, [output], domain=FUNCTION_DOMAIN))


def distinct(tensors: Sequence[gs.Tensor]) -> list[gs.Tensor]:
    """Each tensor once, in the order of first appearance."""
    return list({tensor.name: tensor for tensor in tensors}.values())
