"""Logarithms of sums as trees of neurons whose range is that of the logarithms, not of what is summed.

A neuron resolves a fraction of its amplitude, and that is the largest value it ever has. What is summed in a softmax or
in a variance spans many orders of magnitude from row to row: next to the largest exponential of all rows, those of most
rows are nothing. Their logarithms lie close together.
"""

from collections.abc import Sequence
from functools import partial
from math import prod

import onnx_graphsurgeon as gs

from spikec.passes.halving import Join, Span, halve
from spikec.passes.opening import Opening
from spikec.passes.records import Record
from spikec.passes.regions import Region, fuse


def log_sum_exp(opening: Opening, x: gs.Tensor, spans: Sequence[Span], floor: float | None) -> gs.Tensor:
    """``log(sum(exp(x)))`` along the axes of ``spans``, which keep the size 1.

    log(exp(a) + exp(b)) = a + log(1 + exp(b - a)): a unary neuron on a difference, which the segment holds, while a
    itself passes as it is. Elements that may be minus infinity, or as far below as masks are, have no such difference:
    with ``floor`` (None: there are none) the first level is of binary neurons that take less for as much as this.
    """
    soft = partial(_soft_maximum, opening)
    if floor is None:
        return halve(opening, x, spans, soft)
    return halve(opening, x, spans, soft, _masked(opening, floor), partial(_at_least, opening, floor))


def log_mean_square(opening: Opening, x: gs.Tensor, spans: Sequence[Span], epsilon: float) -> tuple[gs.Tensor, int]:
    """``log(sum(x*x + epsilon))`` along the axes of ``spans``, which keep the size 1, and the number of summands.

    The mean of x*x + epsilon is that of x*x, plus epsilon: what norms take the root of.
    """
    first, lone = _squares(opening, epsilon), partial(_square, opening, epsilon)
    return halve(opening, x, spans, partial(_soft_maximum, opening), first, lone), prod(size for _, size in spans)


def _soft_maximum(opening: Opening, low: gs.Tensor, high: gs.Tensor, part: str) -> gs.Tensor:
    above = opening.add("Sub", [high, low], f"{part}/difference")
    return opening.add("Add", [low, opening.add("Softplus", [above], f"{part}/softplus")], part)


def _masked(opening: Opening, floor: float) -> Join:
    def join(low: gs.Tensor, high: gs.Tensor, part: str) -> gs.Tensor:
        written = len(opening.graph.nodes)
        ends = [_at_least(opening, floor, tensor, f"{part}/{i}") for i, tensor in enumerate((low, high))]
        _soft_maximum(opening, ends[0], ends[1], part)
        return _as_one(opening, written, low, high)

    return join


def _at_least(opening: Opening, floor: float, x: gs.Tensor, part: str) -> gs.Tensor:
    return opening.at_least(x, floor, f"{part}/unmasked")


def _squares(opening: Opening, epsilon: float) -> Join:
    def join(low: gs.Tensor, high: gs.Tensor, part: str) -> gs.Tensor:
        written = len(opening.graph.nodes)
        ends = [opening.add("Mul", [tensor, tensor], f"{part}/square{i}") for i, tensor in enumerate((low, high))]
        _log_above(opening, opening.add("Add", ends, f"{part}/sum"), 2 * epsilon, part)
        return _as_one(opening, written, low, high)

    return join


def _square(opening: Opening, epsilon: float, x: gs.Tensor, part: str) -> gs.Tensor:
    return _log_above(opening, opening.add("Mul", [x, x], f"{part}/square"), epsilon, part)


def _log_above(opening: Opening, x: gs.Tensor, epsilon: float, part: str) -> gs.Tensor:
    shifted = opening.add("Add", [x, opening.number(epsilon, f"{part}/epsilon")], f"{part}/shifted")
    return opening.add("Log", [shifted], part)


def _as_one(opening: Opening, written: int, *starts: gs.Tensor) -> gs.Tensor:
    """All nodes but the first ``written`` of the graph as one function of ``starts``: sums inside it would split it."""
    region = Region(list(opening.graph.nodes[written:]), list(starts))
    end = region.end.outputs[0]
    fuse(opening.graph, region, Record())
    return end
