"""What will become of every node of a model, without converting it."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

import onnx
import onnx_graphsurgeon as gs

from spikec.canonical import canonicalise
from spikec.dynamics_rules import why_not
from spikec.frontends import load_model
from spikec.options import Options, from_preset
from spikec.passes import PlaceNeurons, Record
from spikec.passes.graph_io import import_graph
from spikec.passes.place_neurons import kind_of, why_no_neuron
from spikec.passes.value_path import ValuePath
from spikec.pipeline import apply_pass, ordered_passes

FATES = ("linear", "neuron", "readout", "constant", "unsupported")


@dataclass(frozen=True)
class Fate:
    """What becomes of one node: ``linear``, ``neuron``, ``readout``, ``constant``, ``unsupported``; and how or why."""

    name: str
    op: str
    fate: str
    detail: str = ""


@dataclass
class Plan:
    """The fate of every node of the source, and what the converted network will be made of.

    ``neurons`` has a row for each neuron node: its kind, f, and how many neurons it is per sample (None: unknown).
    """

    source: str
    nodes: list[Fate]
    neurons: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unsupported(self) -> list[Fate]:
        """The nodes that stand in the way of a conversion."""
        return [node for node in self.nodes if node.fate == "unsupported"]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        counts = Counter(node.fate for node in self.nodes)
        return {
            "source": self.source,
            "convertible": not self.unsupported,
            "nodes": [asdict(node) for node in self.nodes],
            "neurons": self.neurons,
            "summary": {
                **{fate: counts[fate] for fate in FATES},
                "neuron_nodes": len(self.neurons),
                "neurons_per_sample": sum(row["per_sample"] or 0 for row in self.neurons),
            },
        }


def plan(model: Any, example_inputs: Any = None, *, preset: str = "default", **chosen: Any) -> Plan:
    """Say what will become of every node of ``model`` (named as for ``spikec.compile``).

    Raises:
        UsageError, ModelError: the model cannot be read at all; single nodes that cannot be converted are in the plan.
    """
    options = from_preset(preset, **chosen)
    source = load_model(model, example_inputs)
    records: list[Record] = []
    current = canonicalise(source.model)
    for _, rewrite in ordered_passes(options):
        if isinstance(rewrite, PlaceNeurons):
            break
        current, record = apply_pass(rewrite, current)
        records.append(record)
    primitive = import_graph(current)
    judged = _judge(primitive, options)
    nodes = _source_fates(source.model, primitive, judged, records)
    return Plan(source.name, nodes, _neuron_rows(primitive, judged))


def _judge(graph: gs.Graph, options: Options) -> dict[str, Fate]:
    """The fate of every node at level 2, by node name."""
    path, kinds = ValuePath(graph), PlaceNeurons(options.granularity).kinds
    return {node.name: _judge_node(node, path, kinds, options) for node in graph.nodes}


def _judge_node(node: gs.Node, path: ValuePath, kinds: frozenset[str], options: Options) -> Fate:
    if not path.on_path(node):
        made_of = {tensor.name for tensor in node.inputs} & path.symbols
        detail = "computed once from integer inputs, before the first step" if made_of else "depends on shapes only"
        return Fate(node.name, node.op, "constant", detail)
    if path.is_readout(node):
        return Fate(node.name, node.op, "readout", "computed in float on the finished output")
    if path.is_affine(node):
        return Fate(node.name, node.op, "linear", "carries spikes")
    refusal = why_no_neuron(node, path, kinds) or why_not(options.dynamics, node.op)
    if refusal:
        return Fate(node.name, node.op, "unsupported", "; ".join(refusal))
    return Fate(node.name, node.op, "neuron", f"{kind_of(node, path)} neuron")


def _source_fates(
    source: onnx.ModelProto, graph: gs.Graph, judged: dict[str, Fate], records: list[Record]
) -> list[Fate]:
    """The fates of the source's own nodes, told by the tensors they make."""
    makers = {tensor.name: node.name for node in graph.nodes for tensor in node.outputs}
    absorbed = {tensor: name for record in records for tensor, name in record.absorbed.items()}
    fates = []
    for node in import_graph(source).nodes:
        output = node.outputs[0].name if node.outputs else ""
        inner = [f for n, f in judged.items() if n.startswith(f"{node.name}/") and f.fate == "neuron"]
        maker = makers.get(output) or absorbed.get(output)
        if node.name not in judged and inner:
            fates.append(Fate(node.name, node.op, "neuron", f"opened into {len(inner)} elementwise neurons"))
        elif maker in judged:
            detail = judged[maker].detail if output in makers else f"part of {maker}"
            fates.append(Fate(node.name, node.op, judged[maker].fate, detail))
        else:
            fates.append(Fate(node.name, node.op, "constant", "computed at compile time, or a wire"))
    return fates


def _neuron_rows(graph: gs.Graph, judged: dict[str, Fate]) -> list[dict[str, Any]]:
    rows = []
    path = ValuePath(graph)
    for node in graph.nodes:
        if judged[node.name].fate == "neuron":
            size = _per_sample(node.outputs[0].shape)
            rows.append({"name": node.name, "function": node.op, "kind": kind_of(node, path), "per_sample": size})
    return rows


def _per_sample(shape: Any) -> int | None:
    if not shape or not all(isinstance(dim, int) for dim in shape[1:]):
        return None
    return int(prod(shape[1:]))
