"""Convolutions and products of quantised integers become those of floats, between quantisers."""

from collections.abc import Mapping

import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.quantised_path import WAY_OUT, is_standard
from spikec.passes.records import Record
from spikec.passes.surgery import append
from spikec.passes.value_path import ValuePath

_INTEGERS = ("it computes with quantised integers", WAY_OUT)
_DYNAMIC = ("it finds its scale anew for every input", WAY_OUT)
_REFUSED: Mapping[str, tuple[str, str]] = {
    "ConvInteger": _INTEGERS,
    "MatMulInteger": _INTEGERS,
    "DynamicQuantizeLinear": _DYNAMIC,
}
# operator -> its float form, and the axes that its two factors and its result are quantised along
OPENED: Mapping[str, tuple[str, tuple[int, int, int]]] = {
    "QLinearConv": ("Conv", (1, 0, 1)),
    "QLinearMatMul": ("MatMul", (-2, -1, -2)),
}


class OpenQuantisedArithmetic:
    """Writes QLinearConv and QLinearMatMul in the form QDQ, as ONNX defines what they compute.

    before: x (uint8) -> QLinearConv(w, b) -> y (uint8)
    after:  x -> DequantizeLinear -> Conv(DequantizeLinear(w), DequantizeLinear(b)) -> QuantizeLinear -> y

    Sums of integers are exact and sums of floats are not: a result half-way between two integers may become the other
    one, so that the outputs change a little.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open all nodes of the two operators.

        Raises:
            UnsupportedNode: for a node that computes with integers, or quantises, in another way.
        """
        record, path = Record(), ValuePath(graph)
        for node in list(graph.nodes):
            if node.op in _REFUSED and is_standard(node, node.op) and path.on_path(node):
                raise UnsupportedNode(node.name, node.op, *_REFUSED[node.op])
            if node.op in OPENED and is_standard(node, node.op):
                _open(graph, node)
                record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def _open(graph: gs.Graph, node: gs.Node) -> None:
    op, axes = OPENED[node.op]
    output, x, w, y = node.outputs[0], node.inputs[:3], node.inputs[3:6], node.inputs[6:8]
    node.outputs.clear()
    factors = [
        _dequantised(graph, f"{node.name}/{part}", items, axis)
        for part, items, axis in (("x", x, axes[0]), ("w", w, axes[1]))
    ]
    if len(node.inputs) > 8 and node.inputs[8].name:
        scale = append(graph, "Mul", [x[1], w[1]], f"{node.name}/bias_scale", like=x[1])
        factors.append(_dequantised(graph, f"{node.name}/bias", [node.inputs[8], scale], 0))
    result = append(graph, op, factors, f"{node.name}/{op.lower()}", like=x[1], **node.attrs)
    graph.nodes.append(gs.Node("QuantizeLinear", node.name, {"axis": axes[2]}, [result, *y], [output]))


def _dequantised(graph: gs.Graph, name: str, items: list[gs.Tensor], axis: int) -> gs.Variable:
    """``items`` are a tensor, its scale and its zero point if it has one."""
    return append(graph, "DequantizeLinear", items, name, like=items[1], axis=axis)
