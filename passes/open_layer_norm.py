"""LayerNormalization as the elementwise neurons that granularity "strict" allows."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.records import Record
from spikec.passes.surgery import append, constant, is_output
from spikec.passes.value_path import ValuePath


class OpenLayerNorm:
    """Opens a layer norm into mean, square and x/sqrt(y) (Oh & Lee 2024, section on layer normalisation).

    before: x -> LayerNormalization(scale, bias) -> y
    after:  c = x - mean(x);  y = c / sqrt(max(mean(c*c), 0) + epsilon) * scale + bias

    The maximum changes nothing in the network itself; it keeps f defined while the estimate of the variance passes
    below 0.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every LayerNormalization on the value path of which only the first output is used."""
        record, path = Record(), ValuePath(graph)
        for node in [n for n in graph.nodes if n.op == "LayerNormalization" and path.is_nonlinearity(n)]:
            if any(tensor.outputs or is_output(graph, tensor) for tensor in node.outputs[1:]):
                record.skip(node, "more than its first output is used")
                continue
            _open(graph, node)
            record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def _open(graph: gs.Graph, node: gs.Node) -> None:
    x, name = node.inputs[0], node.name
    axes = constant(f"{name}/axes", np.array(_axes(node), np.int64))
    epsilon = constant(f"{name}/epsilon", np.array(node.attrs.get("epsilon", 1e-5), np.float32))
    zero = constant(f"{name}/zero", np.array(0, np.float32))
    mean = append(graph, "ReduceMean", [x, axes], f"{name}/mean", like=x, keepdims=1)
    centred = append(graph, "Sub", [x, mean], f"{name}/centred", like=x)
    square = append(graph, "Mul", [centred, centred], f"{name}/square", like=x)
    variance = append(graph, "ReduceMean", [square, axes], f"{name}/variance", like=x, keepdims=1)
    positive = append(graph, "Max", [variance, zero], f"{name}/positive", like=x)
    shifted = append(graph, "Add", [positive, epsilon], f"{name}/shifted", like=x)
    deviation = append(graph, "Sqrt", [shifted], f"{name}/deviation", like=x)
    result = append(graph, "Div", [centred, deviation], f"{name}/normalised", like=x)
    for op, parameter in zip(("Mul", "Add"), node.inputs[1:], strict=False):
        if parameter.name:
            result = append(graph, op, [result, parameter], f"{name}/{op.lower()}", like=x)
    _take_output(node, result)


def _axes(node: gs.Node) -> list[int]:
    """The normalised axes, counted from the back so that no rank is needed where ``axis`` is negative."""
    axis = int(node.attrs.get("axis", -1))
    if axis < 0:
        return list(range(axis, 0))
    if node.inputs[0].shape is None:
        raise UnsupportedNode(
            node.name, node.op, "its rank is unknown", "export the model with shapes or use granularity composite"
        )
    return list(range(axis, len(node.inputs[0].shape)))


def _take_output(node: gs.Node, result: gs.Variable) -> None:
    """Give the output tensor of ``node`` to the node that computes ``result``."""
    output = node.outputs[0]
    node.outputs.clear()
    result.inputs[0].outputs = [output]
