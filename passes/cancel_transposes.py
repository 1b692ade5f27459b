"""A Transpose and its inverse with only elementwise operators between them do nothing."""

import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise
from spikec.passes.records import Record
from spikec.passes.surgery import bypass, is_output, values_of


class CancelTransposes:
    """Takes a Transpose and its inverse from around a chain of elementwise operators with scalar constants.

    before: x -> Transpose(0, 2, 3, 1) -> Pow(3) -> Mul(0.04) -> Transpose(0, 3, 1, 2) -> y
    after:  x -> Pow(3) -> Mul(0.04) -> y

    Why: exporters of networks with channels last move what they can to channels first and leave such pairs where they
    cannot; a GELU with a pair inside it would be several neurons.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Cancel every such pair; the first Transpose stays where something else reads it."""
        record = Record()
        for last in [node for node in graph.nodes if node.op == "Transpose"]:
            chain = _chain_to(graph, last)
            if chain is None:
                continue
            if is_output(graph, last.outputs[0]):
                record.skip(last, "its output is an output of the graph, whose name must stay")
                continue
            first, *between = chain
            reader, turned = [*between, last][0], first.outputs[0]
            reader.inputs = [first.inputs[0] if tensor is turned else tensor for tensor in reader.inputs]
            record.rewrote.append(last.name)
            record.absorbed.update((node.outputs[0].name, between[-1].name) for node in (first, last) if between)
            bypass(last)
        return graph.cleanup().toposort(), record


def _chain_to(graph: gs.Graph, last: gs.Node) -> list[gs.Node] | None:
    """The inverse of ``last`` and the elementwise nodes from it to ``last``, or None where there is no such chain."""
    chain: list[gs.Node] = []
    tensor = last.inputs[0]
    while len(tensor.inputs) == 1:
        node = tensor.inputs[0]
        if node.op == "Transpose":
            return [node, *chain] if _are_inverse(node, last) else None
        source = _only_value(node)
        if source is None or len(tensor.outputs) != 1 or is_output(graph, tensor):
            return None
        chain.insert(0, node)
        tensor = source
    return None


def _only_value(node: gs.Node) -> gs.Tensor | None:
    """What an elementwise node reads, if that is one tensor beside scalar constants."""
    if len(node.outputs) != 1 or not is_elementwise(node.op, node.domain):
        return None
    arrays = {tensor.name: values_of(tensor) for tensor in node.inputs if tensor.name}
    values = {tensor.name: tensor for tensor in node.inputs if tensor.name and arrays[tensor.name] is None}
    scalars = all(array is None or array.size == 1 for array in arrays.values())
    return next(iter(values.values())) if scalars and len(values) == 1 else None


def _are_inverse(first: gs.Node, last: gs.Node) -> bool:
    before, after = first.attrs.get("perm"), last.attrs.get("perm")
    if before is None or after is None:  # the default turns the order of the axes round
        return before is after
    return [before[axis] for axis in after] == list(range(len(before))) if len(before) == len(after) else False
