"""How many weights events pass: the network's own operators, with ones for weights, applied to numbers of events.

An operator that is linear adds, for each weight that a value meets, the value times the weight. So the same operator
with all weights 1, fed with how many events each of its inputs sent, gives at each output how many operations that
took; their sum is exact, strides and borders of convolutions included.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from onnx import NodeProto, helper

from spikec.ledger.probe import Probe
from spikec.ledger.wiring import Receiver, Wiring
from spikec.runtime.torch_graph import TorchGraph

Counts = Mapping[str, np.ndarray]
_SCALES = ("alpha", "beta")


class FanOut:
    """Counts the operations of a step graph's receivers for one sample."""

    def __init__(self, wiring: Wiring, probe: Probe) -> None:
        self.wiring, self.probe = wiring, probe

    def of_events(self, receiver: Receiver, counts: Counts) -> float:
        """Operations that events cause, each one those of all the weights that it meets.

        Args:
            receiver: what they reach; all its leaves are events.
            counts: events of each neuron, by the tensor of its events and shaped like it.
        """
        nodes = self._path(receiver)
        feeds = {leaf: counts[leaf] for leaf in receiver.leaves}
        feeds |= {name: self._values[name] for name in self._parameters(nodes)}
        arrived = _evaluate([_counting(node) for node in nodes], receiver.tensor, feeds)
        return self.of_values(receiver, arrived)

    def of_values(self, receiver: Receiver, counts: np.ndarray) -> float:
        """Operations that values cause; ``counts`` is shaped like what the receiver receives."""
        if receiver.kind == "direct":
            return float(counts.sum()) / self.probe.samples
        position = list(receiver.node.input).index(receiver.tensor)
        return self._with_ones(receiver.node, {position: counts})

    def macs(self, node: NodeProto) -> float:
        """Multiply-accumulates of an operator with weights, products with padding left out."""
        return self._with_ones(node, {})

    def _with_ones(self, node: NodeProto, given: Mapping[int, np.ndarray]) -> float:
        factors = len(node.input) if node.op_type == "Einsum" else 2
        names = [f"{i}" for i in range(factors)]
        feeds = {names[i]: given[i] if i in given else self._ones(node.input[i]) for i in range(factors)}
        copy = helper.make_node(node.op_type, names, ["counted"], name=node.name)
        copy.attribute.extend(attr for attr in node.attribute if attr.name not in _SCALES)
        return float(_evaluate([copy], "counted", feeds).sum()) / self.probe.samples

    def _ones(self, name: str) -> np.ndarray:
        return np.ones(self.probe.shapes[name])

    def _path(self, receiver: Receiver) -> list[NodeProto]:
        """The nodes between the leaves and the receiver, in order."""
        wanted, nodes = {receiver.tensor} - set(receiver.leaves), []
        for node in reversed(self.wiring.parts.step):
            if wanted.intersection(node.output):
                nodes.append(node)
                names = {node.input[i] for i in self.wiring.timed(node)}
                wanted |= names - set(receiver.leaves)
        return nodes[::-1]

    @cached_property
    def _values(self) -> dict[str, np.ndarray]:
        """The other inputs of the nodes on all paths; of a factor it is the shape alone that counts."""
        paths = [self._path(receiver) for receiver in self.wiring.receivers if receiver.spikes]
        nodes = [node for path in paths for node in path]
        factors = {name for node in nodes if node.op_type in ("Mul", "Div") for name in self._parameters([node])}
        others = dict.fromkeys(name for name in self._parameters(nodes) if name not in factors)
        return self.probe.values(list(others)) | {name: self._ones(name) for name in factors}

    def _parameters(self, nodes: list[NodeProto]) -> list[str]:
        return [n for node in nodes for i, n in enumerate(node.input) if n and i not in self.wiring.timed(node)]


_COUNTING = {"Neg": "Identity", "Sub": "Add", "Mean": "Sum", "Div": "Mul"}


def _counting(node: NodeProto) -> NodeProto:
    """The node that does to numbers of events what ``node`` does to events: signs and factors do not matter."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.op_type = _COUNTING.get(node.op_type, node.op_type)
    if node.op_type == "Pad" and len(copy.input) > 2:
        copy.input[2] = ""  # zeros, whatever the network pads with
    return copy


def _evaluate(nodes: list[NodeProto], output: str, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    if output in feeds:
        return feeds[output]
    graph = TorchGraph(nodes, [output], {}, {}, dtype=torch.float64)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in feeds.items()}
    return np.asarray(graph(tensors)[output].numpy())
