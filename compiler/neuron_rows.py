"""The neurons of a planned network: what they are, how many, and the state that they carry from step to step."""

from collections.abc import Collection, Iterable
from math import prod
from typing import Any

import onnx_graphsurgeon as gs

from spikec.passes.operators import NEURON_DOMAIN
from spikec.passes.place_neurons import kind_of
from spikec.passes.value_path import ValuePath

BYTES = 4  # every state is float32


def neuron_kind_of(node: gs.Node, path: ValuePath) -> str | None:
    """The kind of the neuron that ``node`` is already, or will become."""
    return str(node.attrs["kind"]) if node.domain == NEURON_DOMAIN else kind_of(node, path)


class NeuronRows:
    """Rows for the nodes named in ``neurons``, of a graph in topological order.

    ``firing`` names those too that would be neurons were they supported: what follows them changes with time.
    A neuron keeps its value and, for each input that changes with time and is not itself a neuron's output, an
    estimate. An estimate that several neurons read is kept once: the first of them has it in its row.
    """

    def __init__(self, graph: gs.Graph, neurons: Collection[str], firing: Collection[str]) -> None:
        self.graph, self.path, self.firing = graph, ValuePath(graph), firing
        self.fixed_batch = any(isinstance(dim, int) for tensor in graph.inputs for dim in (tensor.shape or ())[:1])
        self.sent = {tensor.name for node in graph.nodes if node.name in firing for tensor in node.outputs}
        self.late = self._behind_the_network()
        self.timed = self._timed()
        self.kept: set[str] = set()  # estimates that are counted already
        self.rows = [self._row(node) for node in graph.nodes if node.name in neurons]
        self.output_bytes = self._bytes(self._boundary())

    def _row(self, node: gs.Node) -> dict[str, Any]:
        values = [node.inputs[i] for i in self.path.positions(node)]
        estimates, size = self._bytes(values), self._per_sample(node.outputs[0])
        return {
            "name": node.name,
            "function": node.op,
            "kind": neuron_kind_of(node, self.path),
            "per_sample": size,
            "state_bytes": None if size is None or estimates is None else BYTES * size + estimates,
        }

    def _bytes(self, tensors: Iterable[gs.Tensor]) -> int | None:
        """Memory per sample of those estimates of ``tensors`` that are not counted yet; None: of unknown shape."""
        sizes = []
        for tensor in tensors:
            if tensor.name in self.timed - self.sent - self.kept:
                self.kept.add(tensor.name)
                sizes.append(self._per_sample(tensor))
        return total([None if size is None else BYTES * size for size in sizes])

    def _per_sample(self, tensor: gs.Tensor) -> int | None:
        """Elements of ``tensor`` for one sample; None where a dimension is unknown."""
        if tensor.shape is None:
            return None
        first, rest = tensor.shape[:1], tensor.shape[1:]
        # where the batch is open, a first axis of known size is no batch: the samples share the tensor
        dims = rest if self.fixed_batch or not all(isinstance(dim, int) for dim in first) else [*first, *rest]
        return int(prod(dims)) if all(isinstance(dim, int) for dim in dims) else None

    def _behind_the_network(self) -> set[str]:
        """Nodes of the readout, and what hangs on them."""
        names: set[str] = set()
        made: set[str] = set()
        for node in self.graph.nodes:
            if self.path.is_readout(node) or any(tensor.name in made for tensor in node.inputs):
                names.add(node.name)
                made.update(tensor.name for tensor in node.outputs)
        return names

    def _timed(self) -> set[str]:
        """Value tensors that change from step to step: those of neurons and behind them."""
        timed: set[str] = set()
        for node in self.graph.nodes:
            moving = node.name in self.firing or any(tensor.name in timed for tensor in node.inputs)
            if moving and node.name not in self.late and self.path.on_path(node):
                timed.update(tensor.name for tensor in node.outputs)
        return timed & self.path.tensors

    def _boundary(self) -> list[gs.Tensor]:
        """What the readout and the outputs take from the network: its sums are kept too."""
        late = [tensor for node in self.graph.nodes if node.name in self.late for tensor in node.inputs]
        return [*late, *self.graph.outputs]


def total(numbers: Iterable[int | None]) -> int | None:
    """The sum, None where one of ``numbers`` is unknown."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)
