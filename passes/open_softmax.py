"""Softmax and its logarithms as the elementwise neurons that granularity "strict" allows."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from spikec.passes.normalise import log_of
from spikec.passes.opening import TINY, Form, Opening, open_nodes, openable
from spikec.passes.records import Record
from spikec.passes.surgery import int_vector


@dataclass(frozen=True)
class Rows:
    """What a node sums exponentials of: a tensor along ``axes`` (None: all)."""

    tensor: str
    op: str
    axes: tuple[int, ...] | None


class OpenSoftmax:
    """Opens what exponentials of a row are summed for.

    before: x -> Softmax(axis) -> y             after: e = exp(x - c);  y = e / max(sum(e), tiny)
    before: x -> LogSoftmax(axis) -> y          after: y = (x - c) - log(max(sum(exp(x - c)), tiny))
    before: x -> ReduceLogSumExp(axes) -> y     after: y = log(max(sum(exp(x - c)), tiny)) + c

    c keeps exp in the range of float32. It is a constant of the node, not the maximum of each row, which would need a
    tree of Max neurons. The floor is the smallest number that float32 holds in full: it changes nothing in the network
    itself, and keeps the division defined while the estimate of the sum passes below 0.
    """

    def __init__(self, shifts: Mapping[str, float] | None = None) -> None:
        """``shifts`` has c by node name, 0 where it has none; the maximum of the node's input is a good one while the
        maxima of its rows are less than 87 apart: exp of more is 0 in float32."""
        self.shifts = shifts or {}
        self._forms: dict[str, Form] = {
            "Softmax": self._softmax,
            "LogSoftmax": self._log_softmax,
            "ReduceLogSumExp": self._log_sum_exp,
        }

    def rows(self, graph: gs.Graph) -> dict[str, Rows]:
        """For each node that would be opened, by its name, what has to be measured for its shift."""
        return {node.name: Rows(node.inputs[0].name, node.op, _axes(node)) for node in openable(graph, self._forms)}

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every such node on the value path."""
        return open_nodes(graph, self._forms)

    def _softmax(self, opening: Opening) -> gs.Tensor:
        exponential = opening.add("Exp", [self._shifted(opening)], "exp")
        total = opening.at_least(_row_sum(opening, exponential), TINY, "positive")
        return opening.add("Div", [exponential, total], "normalised")

    def _log_softmax(self, opening: Opening) -> gs.Tensor:
        shifted = self._shifted(opening)
        total = _row_sum(opening, opening.add("Exp", [shifted], "exp"))
        return opening.add("Sub", [shifted, log_of(opening, total)], "normalised")

    def _log_sum_exp(self, opening: Opening) -> gs.Tensor:
        exponential = opening.add("Exp", [self._shifted(opening)], "exp")
        total = opening.add("ReduceSum", [exponential, *opening.node.inputs[1:]], "sum", **opening.node.attrs)
        return opening.add("Add", [log_of(opening, total), self._shift(opening)], "unshifted")

    def _shifted(self, opening: Opening) -> gs.Variable:
        return opening.add("Sub", [opening.x, self._shift(opening)], "shifted")

    def _shift(self, opening: Opening) -> gs.Constant:
        return opening.number(self.shifts.get(opening.node.name, 0.0), "shift")


def _axes(node: gs.Node) -> tuple[int, ...] | None:
    if node.op != "ReduceLogSumExp":
        return (int(node.attrs.get("axis", -1)),)
    axes = int_vector(node, "axes", 1)
    return tuple(axes) if axes else () if node.attrs.get("noop_with_empty_axes", 0) else None


def _row_sum(opening: Opening, x: gs.Tensor) -> gs.Variable:
    axes = opening.integers([int(opening.node.attrs.get("axis", -1))], "axes")
    return opening.add("ReduceSum", [x, axes], "sum", keepdims=1)
