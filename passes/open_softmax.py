"""Softmax and its logarithms as the elementwise neurons that granularity "strict" allows."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from spikec.passes.halving import Span, spans_of, squeezed
from spikec.passes.log_sum_exp import log_sum_exp
from spikec.passes.masks import may_be_masked
from spikec.passes.normalise import log_of
from spikec.passes.opening import TINY, Form, Opening, open_nodes, openable
from spikec.passes.records import Record
from spikec.passes.surgery import int_vector


@dataclass(frozen=True)
class Rows:
    """What a node sums exponentials of: a tensor along ``axes`` (None: all).

    ``one_shift``: all rows will be shifted alike, for want of their length. ``masked``: something besides values goes
    into them, which may be minus infinity.
    """

    tensor: str
    op: str
    axes: tuple[int, ...] | None
    one_shift: bool
    masked: bool


@dataclass(frozen=True)
class Reach:
    """How far rows go: what keeps exp in range when it is taken off, and what elements under it are taken for (None:
    there are none)."""

    shift: float = 0.0
    floor: float | None = None


class OpenSoftmax:
    """Opens what exponentials of a row are summed for.

    before: x -> Softmax(axis) -> y             after: y = exp(x - L(x))
    before: x -> LogSoftmax(axis) -> y          after: y = x - L(x)
    before: x -> ReduceLogSumExp(axes) -> y     after: y = L(x)

    L, the logarithm of the sum of exponentials, is a tree of neurons log2 of the row deep (``log_sum_exp``). Where the
    length of the row is not known there is no such tree:

    Softmax: e = exp(x - c);  y = e / max(sum(e), tiny)         others: L = log(max(sum(exp(x - c)), tiny)) + c

    c keeps exp in the range of float32. It is a constant of the node: rows whose maxima differ need many steps. The
    floor is the smallest number that float32 holds in full: it changes nothing in the network itself, and keeps the
    division defined while the estimate of the sum passes below 0.
    """

    def __init__(self, reaches: Mapping[str, Reach] | None = None) -> None:
        """``reaches`` by node name; what is not there has none."""
        self.reaches = reaches or {}
        self._forms: dict[str, Form] = {
            "Softmax": self._softmax,
            "LogSoftmax": self._log_softmax,
            "ReduceLogSumExp": self._log_sum_exp,
        }

    def rows(self, graph: gs.Graph) -> dict[str, Rows]:
        """For each node that would be opened, by its name, what has to be measured for its reach."""
        return {node.name: _rows(node) for node in openable(graph, self._forms)}

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every such node on the value path."""
        return open_nodes(graph, self._forms)

    def _softmax(self, opening: Opening) -> gs.Tensor:
        if spans := _spans(opening.node):
            return opening.add("Exp", [self._below(opening, spans)], "normalised")
        exponential = opening.add("Exp", [self._shifted(opening)], "exp")
        total = opening.at_least(_row_sum(opening, exponential), TINY, "positive")
        return opening.add("Div", [exponential, total], "normalised")

    def _log_softmax(self, opening: Opening) -> gs.Tensor:
        if spans := _spans(opening.node):
            return self._below(opening, spans)
        shifted = self._shifted(opening)
        total = _row_sum(opening, opening.add("Exp", [shifted], "exp"))
        return opening.add("Sub", [shifted, log_of(opening, total)], "normalised")

    def _log_sum_exp(self, opening: Opening) -> gs.Tensor:
        if spans := _spans(opening.node):
            result = log_sum_exp(opening, opening.x, spans, self._reach(opening).floor)
            return squeezed(opening, result, [axis for axis, _ in spans])
        exponential = opening.add("Exp", [self._shifted(opening)], "exp")
        total = opening.add("ReduceSum", [exponential, *opening.node.inputs[1:]], "sum", **opening.node.attrs)
        return opening.add("Add", [log_of(opening, total), self._shift(opening)], "unshifted")

    def _below(self, opening: Opening, spans: list[Span]) -> gs.Variable:
        total = log_sum_exp(opening, opening.x, spans, self._reach(opening).floor)
        return opening.add("Sub", [opening.x, total], "below")

    def _shifted(self, opening: Opening) -> gs.Variable:
        return opening.add("Sub", [opening.x, self._shift(opening)], "shifted")

    def _shift(self, opening: Opening) -> gs.Constant:
        return opening.number(self._reach(opening).shift, "shift")

    def _reach(self, opening: Opening) -> Reach:
        return self.reaches.get(opening.node.name, Reach())


def _rows(node: gs.Node) -> Rows:
    x = node.inputs[0]
    return Rows(x.name, node.op, _axes(node), not _spans(node), may_be_masked(x))


def _axes(node: gs.Node) -> tuple[int, ...] | None:
    if node.op != "ReduceLogSumExp":
        return (int(node.attrs.get("axis", -1)),)
    axes = int_vector(node, "axes", 1)
    return tuple(axes) if axes else () if node.attrs.get("noop_with_empty_axes", 0) else None


def _spans(node: gs.Node) -> list[Span] | None:
    """The axes that are summed along and their sizes; none where one is not known before the network runs."""
    axes, x = _axes(node), node.inputs[0]
    computed = len(node.inputs) > 1 and node.inputs[1].name and not isinstance(node.inputs[1], gs.Constant)
    if x.shape is None or computed:
        return None
    return spans_of(x, range(len(x.shape)) if axes is None else sorted(axis % len(x.shape) for axis in axes))


def _row_sum(opening: Opening, x: gs.Tensor) -> gs.Variable:
    axes = opening.integers([int(opening.node.attrs.get("axis", -1))], "axes")
    return opening.add("ReduceSum", [x, axes], "sum", keepdims=1)
