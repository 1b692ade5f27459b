"""What becomes of the nodes of a source model, told from what became of the nodes of level 2."""

from dataclasses import dataclass

import onnx
import onnx_graphsurgeon as gs

from spikec.passes import Record
from spikec.passes.graph_io import import_graph
from spikec.passes.operators import WEIGHTED
from spikec.passes.value_path import ValuePath

FATES = ("linear", "neuron", "readout", "constant", "unsupported")
_WIRES = frozenset(("Identity", "Dropout", "Cast"))
_FOLDED = WEIGHTED | {"BatchNormalization", "Pad"}  # affine operators that go into the weights of others


@dataclass(frozen=True)
class Fate:
    """What becomes of one node: ``linear``, ``neuron``, ``readout``, ``constant``, ``unsupported``; and how or why."""

    name: str
    op: str
    fate: str
    detail: str = ""


def source_fates(
    source: onnx.ModelProto, graph: gs.Graph, judged: dict[str, Fate], records: list[Record]
) -> list[Fate]:
    """The fates of the nodes of ``source``, told by their tensors; ``judged`` has those of ``graph``, level 2."""
    own = import_graph(source)
    path, found = ValuePath(own), _Found(graph, judged, records)
    hosts: dict[str, str] = {}  # source node -> node of level 2 that it is, or is part of
    for node in reversed(own.nodes):
        host = found.host(node)
        if host is None and _is_folded(node, path):  # canonicalisation put it into what reads it
            host = next((hosts[n.name] for tensor in node.outputs for n in tensor.outputs if n.name in hosts), None)
        if host is not None:
            hosts[node.name] = host
    return [found.fate(node, hosts.get(node.name)) for node in own.nodes]


def _is_folded(node: gs.Node, path: ValuePath) -> bool:
    return path.on_path(node) and node.op not in _WIRES and (node.op in _FOLDED or not path.is_affine(node))


class _Found:
    """Level 2, asked by the tensors and names of the source."""

    def __init__(self, graph: gs.Graph, judged: dict[str, Fate], records: list[Record]) -> None:
        self.judged = judged
        self.makers = {tensor.name: node.name for node in graph.nodes for tensor in node.outputs}
        self.absorbed = {tensor: name for record in records for tensor, name in record.absorbed.items()}

    def host(self, node: gs.Node) -> str | None:
        """The node of level 2 that makes the first output of ``node``, or that took over what made it."""
        output = node.outputs[0].name if node.outputs else ""
        name = self.makers.get(output) or self.absorbed.get(output)
        return name if name in self.judged else None

    def fate(self, node: gs.Node, host: str | None) -> Fate:
        """The fate of a source node with that host."""
        inner = [f for n, f in self.judged.items() if n.startswith(f"{node.name}/") and f.fate == "neuron"]
        if node.name not in self.judged and inner:
            return Fate(node.name, node.op, "neuron", f"opened into {len(inner)} neurons")
        if host is None:
            return Fate(node.name, node.op, "constant", "computed at compile time, or a wire")
        itself = any(tensor.name in self.makers for tensor in node.outputs[:1])
        detail = self.judged[host].detail if itself else f"part of {host}"
        return Fate(node.name, node.op, self.judged[host].fate, detail)
