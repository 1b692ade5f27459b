"""The neurons of an artifact as its step graph has them: step sizes, and who sends them events."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

from spikec.errors import ModelError
from spikec.passes.operators import NEURON_DOMAIN
from spikec.runtime.parts import Parts


@dataclass(frozen=True)
class StoredNeuron:
    """One neuron of an artifact.

    Attributes:
        function: the name of f.
        kind: of neuron, as in the manifest.
        eta: step sizes, (T,) in float64; 0 where it waits.
        forgets: of each step v keeps 1 - eta (dynamics ``subgradient``).
        graded: its events are the gradient itself (coding ``float``), of any size.
        sources: the neurons whose events reach it past no other neuron.
    """

    name: str
    function: str
    kind: str
    eta: np.ndarray
    forgets: bool
    graded: bool
    sources: tuple[str, ...]


def stored_neurons(parts: Parts) -> list[StoredNeuron]:
    """The neurons of an artifact in topological order.

    Raises:
        ModelError: the step graph lacks a neuron of the manifest.
    """
    nodes = neuron_nodes(parts)
    arrays = {tensor.name: tensor for tensor in parts.constants}
    producer = {name: node for node in parts.step for name in node.output if name}
    rows = {row["name"]: row for row in parts.manifest.raw["neurons"]}
    neurons = []
    for name, row in rows.items():
        if name not in nodes:
            raise ModelError(f"the artifact's steps lack the neuron '{name}' of its manifest; compile it again")
        neurons.append(
            StoredNeuron(
                name,
                row["function"],
                row["kind"],
                _table(nodes[name], producer, arrays),
                parts.manifest.raw["dynamics"] == "subgradient",
                row["coding"] == "float",
                tuple(source for source in rows if source in _sources(nodes[name], producer)),
            )
        )
    return neurons


def neuron_nodes(parts: Parts) -> dict[str, NodeProto]:
    """The neurons' nodes of the step graph by name."""
    names = {neuron.name for neuron in parts.manifest.neurons}
    return {node.name: node for node in parts.step if node.domain == NEURON_DOMAIN and node.name in names}


def arguments_of(node: NodeProto) -> int:
    """How many inputs of a neuron's node are those of f; v, eta and the amplitude follow, and theta if it has one."""
    return len(node.input) - (4 if "Ternary" in node.op_type.partition("_")[0] else 3)


def _table(node: NodeProto, producer: Mapping[str, NodeProto], arrays: Mapping[str, TensorProto]) -> np.ndarray:
    """eta(t) as the step graph reads it."""
    now = producer.get(node.input[arguments_of(node) + 1])
    if now is None or now.input[0] not in arrays:
        raise ModelError(f"the step sizes of neuron '{node.name}' are not in the artifact; compile it again")
    return np.asarray(numpy_helper.to_array(arrays[now.input[0]]), np.float64)


def _sources(node: NodeProto, producer: Mapping[str, NodeProto]) -> set[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(node.input[: arguments_of(node)])
    while waiting:
        name = waiting.pop()
        maker = producer.get(name)
        if name in seen or maker is None:
            continue
        seen.add(name)
        if maker.domain == NEURON_DOMAIN and maker.op_type != "LeakyIntegrate":
            found.add(maker.name)
        else:
            waiting.extend(maker.input)
    return found
