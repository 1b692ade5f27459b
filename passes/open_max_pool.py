"""Max pooling as a tree of binary Max: the elementwise neurons that granularity "strict" allows."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.opening import Opening, open_nodes, tree
from spikec.passes.pool_windows import EmptyWindow, spatial_size, window_indices
from spikec.passes.records import Record


class OpenMaxPool:
    """Opens MaxPool and GlobalMaxPool, one spatial axis after the other.

    before: x -> MaxPool(kernel 3) -> y
    after:  g0, g1, g2 = Gather(x, column of offset 0, 1, 2);  y = Max(Max(g0, g1), g2)

    Any kernel, stride, padding, dilation and ceil_mode: where a window hangs over the border its column repeats an
    element that the window holds anyway, which a maximum does not notice.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every max pooling on the value path; its spatial size has to be known."""
        return open_nodes(graph, {"MaxPool": _open, "GlobalMaxPool": _open})


def _open(opening: Opening) -> gs.Tensor:
    tensor = opening.x
    for axis, columns in enumerate(_columns(opening), start=2):
        tensor = _maximum_along(opening, tensor, columns, axis)
    return tensor


def _columns(opening: Opening) -> list[np.ndarray]:
    """For each spatial axis the indices (kernel, outputs) that its windows read."""
    spatial = spatial_size(opening)
    if opening.node.op == "GlobalMaxPool":
        return [np.arange(size).reshape(size, 1) for size in spatial]
    try:
        return window_indices(spatial, opening.node.attrs)
    except EmptyWindow:
        opening.refuse("one of its windows lies wholly in the padding", "pool with less padding")


def _maximum_along(opening: Opening, x: gs.Tensor, columns: np.ndarray, axis: int) -> gs.Tensor:
    if columns.shape[0] == 1 and np.array_equal(columns[0], np.arange(columns.shape[1])) and _covers(x, axis, columns):
        return x
    gathered: list[gs.Tensor] = []
    for i, column in enumerate(columns):
        index = opening.integers(column, f"axis{axis}/index{i}")
        gathered.append(opening.add("Gather", [x, index], f"axis{axis}/gather{i}", axis=axis))
    return tree(opening, "Max", gathered, f"axis{axis}/max")


def _covers(x: gs.Tensor, axis: int, columns: np.ndarray) -> bool:
    return x.shape is not None and axis < len(x.shape) and x.shape[axis] == columns.shape[1]
