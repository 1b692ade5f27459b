"""Elementwise operators of three value inputs or more as the binary neurons that granularity "strict" allows."""

import onnx_graphsurgeon as gs

from spikec.passes.opening import Form, Opening, open_nodes, openable, tree
from spikec.passes.place_neurons import kind_of
from spikec.passes.records import Record
from spikec.passes.value_path import ValuePath


class OpenManyInputs:
    """Opens Max and Min of many tensors, and Clip between bounds that change.

    before: a, b, c -> Max -> y                 after: y = Max(Max(a, b), c)
    before: x, low, high -> Clip -> y           after: y = Min(Max(x, low), high)

    Sum and Mean of many tensors are linear, and stay.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open where no binary neuron can hold the node: parameters and repeated tensors are no inputs of a neuron."""
        path = ValuePath(graph)
        return open_nodes(graph, _FORMS, [node for node in openable(graph, _FORMS) if kind_of(node, path) == "many"])


def _maximum_or_minimum(opening: Opening) -> gs.Tensor:
    distinct = {tensor.name: tensor for tensor in opening.node.inputs}
    op = str(opening.node.op)
    return tree(opening, op, list(distinct.values()), op.lower())


def _clip(opening: Opening) -> gs.Tensor:
    """ONNX: where the lower bound is above the upper, the upper wins."""
    x, low, high = opening.node.inputs
    return opening.add("Min", [opening.add("Max", [x, low], "max"), high], "min")


_FORMS: dict[str, Form] = {"Max": _maximum_or_minimum, "Min": _maximum_or_minimum, "Clip": _clip}
