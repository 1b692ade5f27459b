"""Identity, Dropout at inference, and Cast to the type a tensor already has, are wires."""

import onnx
import onnx_graphsurgeon as gs

from spikec.passes.records import Record
from spikec.passes.surgery import bypass, is_output


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
            if is_output(graph, node.outputs[0]):
                record.skip(node, "its output is an output of the graph, whose name must stay")
                continue
            if len(node.outputs) > 1 and node.outputs[1].outputs:
                record.skip(node, "the mask of this Dropout is used")
                continue
            bypass(node)
            record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def _is_wire(node: gs.Node) -> bool:
    if node.op == "Cast":
        source = node.inputs[0].dtype
        return source is not None and onnx.helper.np_dtype_to_tensor_dtype(source) == node.attrs["to"]
    return node.op in ("Identity", "Dropout") and bool(node.inputs)
