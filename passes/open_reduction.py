"""Nonlinear reductions as the elementwise neurons that granularity "strict" allows."""

from functools import partial

import onnx_graphsurgeon as gs

from spikec.passes.halving import halve, squeezed
from spikec.passes.normalise import log_of, power, root
from spikec.passes.opening import Form, Opening, open_nodes
from spikec.passes.records import Record
from spikec.passes.surgery import int_vector


class OpenReduction:
    """Opens the reductions into neurons around a sum, or into a tree of binary neurons along each axis.

    before: x -> ReduceL1 -> y              after: y = sum(|x|)
    before: x -> ReduceL2 -> y              after: y = sqrt(max(sum(x*x), 0))
    before: x -> ReduceSumSquare -> y       after: y = sum(x*x)
    before: x -> ReduceLogSum -> y          after: y = log(max(sum(x), tiny))
    before: x -> ReduceMax(axis of 3) -> y  after: m = Concat(Max(x[0:1], x[1:2]), x[2:3]);  y = Max(m[0:1], m[1:2])

    ReduceMin and ReduceProd are such trees of Min and Mul: each level halves the axis in one node, and their number is
    log2 of its size. ReduceLogSumExp is opened by OpenSoftmax.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every such reduction on the value path.

        Raises:
            UnsupportedNode: a tree along an axis that is computed, or whose size is unknown or 0.
        """
        return open_nodes(graph, _FORMS)


def _sum(opening: Opening, x: gs.Tensor) -> gs.Variable:
    """The sum along the same axes; the attributes of all reductions mean the same."""
    return opening.add("ReduceSum", [x, *opening.node.inputs[1:]], "sum", **opening.node.attrs)


def _l1(opening: Opening) -> gs.Tensor:
    return _sum(opening, power(opening, opening.x, 1))


def _l2(opening: Opening) -> gs.Tensor:
    return root(opening, _sum(opening, power(opening, opening.x, 2)), 2)


def _sum_square(opening: Opening) -> gs.Tensor:
    return _sum(opening, power(opening, opening.x, 2))


def _log_sum(opening: Opening) -> gs.Tensor:
    return log_of(opening, _sum(opening, opening.x))


def _tree(op: str, opening: Opening) -> gs.Tensor:
    axes = _axes(opening)
    x = halve(opening, opening.x, [(axis, _size(opening, axis)) for axis in axes], partial(_joined, opening, op))
    return squeezed(opening, x, axes)


def _joined(opening: Opening, op: str, low: gs.Tensor, high: gs.Tensor, part: str) -> gs.Tensor:
    return opening.add(op, [low, high], part)


def _axes(opening: Opening) -> list[int]:
    """The axes that are reduced, counted from the front."""
    node = opening.node
    axes = int_vector(node, "axes", 1)
    if axes is None and len(node.inputs) > 1 and node.inputs[1].name:
        opening.refuse("its axes are computed", "export the model with constant axes or use granularity composite")
    rank = opening.rank()
    if not axes:
        return [] if node.attrs.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in axes)


def _size(opening: Opening, axis: int) -> int:
    size = opening.x.shape[axis]
    if not isinstance(size, int):
        reason = f"the size of axis {axis}, which it reduces, is not known"
        opening.refuse(reason, "export the model with a fixed size or use granularity composite")
    if size == 0:
        opening.refuse(f"axis {axis}, which it reduces, has no elements", "reduce an axis that has elements")
    return size


_FORMS: dict[str, Form] = {
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceSumSquare": _sum_square,
    "ReduceLogSum": _log_sum,
    "ReduceMax": partial(_tree, "Max"),
    "ReduceMin": partial(_tree, "Min"),
    "ReduceProd": partial(_tree, "Mul"),
}
