"""Identity, Dropout at inference, and Cast to the type a tensor already has, are wires."""

import onnx_graphsurgeon as gs

from spikec.passes.records import Record
from spikec.passes.surgery import bypass, element_type, is_output, values_of


class RemoveIdentity:
    """Removes nodes that hand their input through.

    before: x -> Identity -> y -> Conv        after: x -> Conv
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Bypass every wire that is not itself the name of a graph output."""
        record = Record()
        for node in list(graph.nodes):
            if not _is_wire(node):
                continue
            reason = _refusal(graph, node)
            if reason:
                record.skip(node, reason)
                continue
            bypass(node)
            record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def _is_wire(node: gs.Node) -> bool:
    if node.op == "Cast":
        return bool(element_type(node.inputs[0]) == node.attrs["to"])
    return node.op in ("Identity", "Dropout") and bool(node.inputs)


def _refusal(graph: gs.Graph, node: gs.Node) -> str | None:
    if is_output(graph, node.outputs[0]):
        return "its output is an output of the graph, whose name must stay"
    if len(node.outputs) > 1 and (node.outputs[1].outputs or is_output(graph, node.outputs[1])):
        return "the mask of this Dropout is used"
    if _is_training(node):
        return "this Dropout is in training mode: it draws random numbers"
    return None


def _is_training(node: gs.Node) -> bool:
    if node.op != "Dropout" or len(node.inputs) < 3 or not node.inputs[2].name:
        return False
    values = values_of(node.inputs[2])
    return values is None or bool(values)  # a computed switch may be on
