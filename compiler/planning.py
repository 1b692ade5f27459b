"""What will become of every node of a model, without converting it."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from spikec.canonical import canonicalise
from spikec.dynamics_rules import why_not
from spikec.fates import FATES, Fate, source_fates
from spikec.frontends import load_model
from spikec.neuron_rows import NeuronRows, neuron_kind_of, total
from spikec.options import Options, from_preset
from spikec.passes import PlaceNeurons, UnsupportedNode
from spikec.passes.graph_io import import_graph
from spikec.passes.operators import NEURON_DOMAIN
from spikec.passes.place_neurons import why_no_neuron
from spikec.passes.value_path import ValuePath
from spikec.pipeline import ordered_passes
from spikec.sizes import within_protobuf
from spikec.trial import Trial

__all__ = ["FATES", "Fate", "Plan", "plan"]


@dataclass
class Plan:
    """The fate of every node of the source, and what the converted network will be made of.

    ``neurons`` has a row for each neuron node: its kind, f, how many neurons it is and the bytes of its state, both per
    sample (None: unknown). ``output_bytes`` is the state that belongs to no neuron: the sums that the outputs are.
    """

    source: str
    nodes: list[Fate]
    neurons: list[dict[str, Any]] = field(default_factory=list)
    output_bytes: int | None = 0

    @property
    def unsupported(self) -> list[Fate]:
        """The nodes that stand in the way of a conversion."""
        return [node for node in self.nodes if node.fate == "unsupported"]

    @property
    def state_bytes(self) -> int | None:
        """The memory per sample of all states, None where a shape is unknown."""
        return total([*(row["state_bytes"] for row in self.neurons), self.output_bytes])

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
                "state_bytes_per_sample": self.state_bytes,
            },
        }


@within_protobuf
def plan(model: Any, example_inputs: Any = None, *, preset: str = "default", **chosen: Any) -> Plan:
    """Say what will become of every node of ``model`` (named as for ``spikec.compile``).

    Raises:
        UsageError, ModelError: the model cannot be read at all; single nodes that cannot be converted are in the plan.
    """
    options = from_preset(preset, **chosen)
    source = load_model(model, example_inputs)
    trial = Trial(canonicalise(source.model))
    for _, rewrite in ordered_passes(options):
        if not isinstance(rewrite, PlaceNeurons):
            trial.run(rewrite)
    graph = import_graph(trial.model)
    judged = _judge(graph, options, trial.refused)
    nodes = source_fates(source.model, graph, judged, trial.records)
    nodes += [_refused(error) for name, error in trial.refused.items() if name not in judged]
    neurons = {name for name, fate in judged.items() if fate.fate == "neuron"}
    rows = NeuronRows(graph, neurons, neurons | {name for name, fate in judged.items() if fate.fate == "unsupported"})
    return Plan(source.name, nodes, rows.rows, rows.output_bytes)


def _judge(graph: gs.Graph, options: Options, refused: dict[str, UnsupportedNode]) -> dict[str, Fate]:
    """The fate of every node at level 2, by node name."""
    path, kinds = ValuePath(graph), PlaceNeurons(options.granularity).kinds
    judged = {node.name: _judge_node(node, path, kinds, options) for node in graph.nodes}
    return judged | {name: _refused(error) for name, error in refused.items() if name in judged}


def _refused(error: UnsupportedNode) -> Fate:
    return Fate(error.node, error.op, "unsupported", f"{error.reason}; {error.way_out}")


def _judge_node(node: gs.Node, path: ValuePath, kinds: frozenset[str], options: Options) -> Fate:
    if not path.on_path(node):
        made_of = {tensor.name for tensor in node.inputs} & path.symbols
        detail = "computed once from integer inputs, before the first step" if made_of else "depends on shapes only"
        return Fate(node.name, node.op, "constant", detail)
    if path.is_readout(node):
        return Fate(node.name, node.op, "readout", "computed in float on the finished output")
    if path.is_affine(node):
        return Fate(node.name, node.op, "linear", "carries spikes")
    encoder = node.domain == NEURON_DOMAIN  # the one neuron that stands before PlaceNeurons
    refusal = None if encoder else why_no_neuron(node, path, kinds) or why_not(options.dynamics, node.op)
    if refusal:
        return Fate(node.name, node.op, "unsupported", "; ".join(refusal))
    return Fate(node.name, node.op, "neuron", f"{neuron_kind_of(node, path)} neuron")
