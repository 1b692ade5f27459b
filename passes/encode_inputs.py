"""Input coding: who turns the network's input into events."""

import onnx
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.place_neurons import place_neuron
from spikec.passes.records import Record
from spikec.passes.surgery import element_type
from spikec.passes.value_path import ValuePath


class EncodeInputs:
    """Puts an identity neuron behind every source of values: a float input of the graph, or an embedding of integers.

    before: x -> Conv        after: x -> spikec::Identity(kind="encoder", coding=...) -> Conv

    ``coding`` is ``sign`` (a signGD neuron per input value) or ``float`` (graded events eta(t)*(x - v), as in the
    paper's code). Without this pass the input is a constant current.
    """

    def __init__(self, coding: str) -> None:
        self.coding = coding

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Encode every source.

        Raises:
            UnsupportedNode: for one that is a float tensor of another type than float32.
        """
        record = Record()
        for tensor in ValuePath(graph).sources:
            kind = element_type(tensor)
            if kind not in (onnx.TensorProto.FLOAT, 0):
                name = onnx.TensorProto.DataType.Name(kind).lower()
                raise UnsupportedNode(
                    tensor.name, "input", f"its type {name} cannot be encoded in events", "use --coding direct"
                )
            record.rewrote.append(_encode(graph, tensor, self.coding).name)
        return graph.cleanup().toposort(), record  # the identities whose places the neurons took are without outputs


def _encode(graph: gs.Graph, tensor: gs.Variable, coding: str) -> gs.Node:
    consumers = list(tensor.outputs)
    encoded = gs.Variable(f"{tensor.name}/encoded", tensor.dtype, tensor.shape)
    for consumer in consumers:
        consumer.inputs = [encoded if item is tensor else item for item in consumer.inputs]
    node = gs.Node("Identity", f"{tensor.name}/encoder", {}, [tensor], [encoded])
    graph.nodes.append(node)
    return place_neuron(graph, node, (0,), "encoder", coding=coding)
