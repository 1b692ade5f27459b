"""Max pooling as a tree of binary Max: the elementwise neurons that granularity "strict" allows."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.pool_windows import EmptyWindow, window_indices
from spikec.passes.records import Record
from spikec.passes.surgery import append, constant
from spikec.passes.value_path import ValuePath


class OpenMaxPool:
    """Opens MaxPool and GlobalMaxPool, one spatial axis after the other.

    before: x -> MaxPool(kernel 3) -> y
    after:  g0, g1, g2 = Gather(x, column of offset 0, 1, 2);  y = Max(Max(g0, g1), g2)

    Any kernel, stride, padding, dilation and ceil_mode: where a window hangs over the border its column repeats an
    element that the window holds anyway, which a maximum does not notice.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every max pooling on the value path; its spatial size has to be known."""
        record, path = Record(), ValuePath(graph)
        for node in [n for n in graph.nodes if n.op in ("MaxPool", "GlobalMaxPool") and path.is_nonlinearity(n)]:
            _open(graph, node)
            record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def _open(graph: gs.Graph, node: gs.Node) -> None:
    tensor = node.inputs[0]
    for axis, columns in enumerate(_columns(node), start=2):
        tensor = _maximum_along(graph, tensor, columns, axis, f"{node.name}/axis{axis}")
    output = node.outputs[0]
    node.outputs.clear()
    if tensor.inputs and tensor is not node.inputs[0]:
        tensor.inputs[0].outputs = [output]
    else:  # kernel 1, stride 1: a wire
        graph.nodes.append(gs.Node("Identity", f"{node.name}/wire", {}, [tensor], [output]))


def _columns(node: gs.Node) -> list[np.ndarray]:
    """For each spatial axis the indices (kernel, outputs) that its windows read."""
    shape = node.inputs[0].shape
    spatial = list(shape[2:]) if shape else []
    if not spatial or not all(isinstance(size, int) for size in spatial):
        raise UnsupportedNode(
            node.name, node.op, "its spatial size is not known", "use granularity composite or export with a fixed size"
        )
    if len(node.outputs) > 1 and node.outputs[1].outputs:
        raise UnsupportedNode(node.name, node.op, "its Indices output is used", "pool without indices")
    if node.op == "GlobalMaxPool":
        return [np.arange(size).reshape(size, 1) for size in spatial]
    if node.attrs.get("auto_pad", "").startswith("SAME") and any(d > 1 for d in node.attrs.get("dilations", [])):
        reason = "onnxruntime pads dilated windows otherwise than ONNX says for auto_pad SAME"
        raise UnsupportedNode(node.name, node.op, reason, "export it with pads in numbers")
    try:
        return window_indices(spatial, node.attrs)
    except EmptyWindow:
        reason = "one of its windows lies wholly in the padding"
        raise UnsupportedNode(node.name, node.op, reason, "pool with less padding") from None


def _maximum_along(graph: gs.Graph, x: gs.Tensor, columns: np.ndarray, axis: int, name: str) -> gs.Tensor:
    """A balanced tree of Max over the gathered columns (depth log2 of the kernel: errors pass fewer neurons)."""
    if columns.shape[0] == 1 and np.array_equal(columns[0], np.arange(columns.shape[1])) and _covers(x, axis, columns):
        return x
    level: list[gs.Tensor] = []
    for i, column in enumerate(columns):
        index = constant(f"{name}/index{i}", column.astype(np.int64))
        level.append(append(graph, "Gather", [x, index], f"{name}/gather{i}", like=x, axis=axis))
    depth = 0
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            append(graph, "Max", pair, f"{name}/max{depth}_{i}", like=x) if len(pair) == 2 else pair[0]
            for i, pair in enumerate(pairs)
        ]
        depth += 1
    return level[0]


def _covers(x: gs.Tensor, axis: int, columns: np.ndarray) -> bool:
    return x.shape is not None and axis < len(x.shape) and x.shape[axis] == columns.shape[1]
