"""Means, powers and roots: what the opened forms of norms, reductions and poolings are made of."""

import math
from collections.abc import Sequence

import onnx_graphsurgeon as gs

from spikec.passes.halving import Span
from spikec.passes.log_sum_exp import log_mean_square
from spikec.passes.opening import TINY, Opening


def centre(opening: Opening, x: gs.Tensor, axes: gs.Tensor) -> gs.Variable:
    """``x - mean(x)`` along ``axes``: linear."""
    mean = opening.add("ReduceMean", [x, axes], "mean", keepdims=1)
    return opening.add("Sub", [x, mean], "centred")


def mean_square(opening: Opening, x: gs.Tensor, axes: gs.Tensor) -> gs.Variable:
    """``max(mean(x*x), 0)`` along ``axes``: of a centred ``x`` its variance.

    The maximum changes nothing in the network itself; it keeps a root defined while the estimate of the mean passes
    below 0.
    """
    mean = opening.add("ReduceMean", [power(opening, x, 2), axes], "variance", keepdims=1)
    return opening.at_least(mean, 0, "positive")


def divide_by_rms(
    opening: Opening, x: gs.Tensor, axes: gs.Tensor, epsilon: float, uneven: Sequence[Span] | None = None
) -> gs.Variable:
    """``x / sqrt(mean(x*x) + epsilon)`` along ``axes``.

    ``uneven``: the axes with their sizes, where mean squares differ so much from row to row that the neurons of the
    squares, whose steps follow the largest, would not see those of most rows. There the mean comes from a tree of
    logarithms.
    """
    if uneven and epsilon > 0:
        return _divide_by_exp(opening, x, uneven, epsilon)
    positive = mean_square(opening, x, axes)
    shifted = opening.add("Add", [positive, opening.number(epsilon, "epsilon")], "shifted")
    deviation = opening.add("Sqrt", [shifted], "deviation")
    return opening.add("Div", [x, deviation], "normalised")


def _divide_by_exp(opening: Opening, x: gs.Tensor, spans: Sequence[Span], epsilon: float) -> gs.Variable:
    logarithm, count = log_mean_square(opening, x, spans, epsilon)
    half = opening.add("Mul", [logarithm, opening.number(-0.5, "minus_half")], "half")
    shifted = opening.add("Add", [half, opening.number(0.5 * math.log(count), "half_log_size")], "shifted")
    return opening.add("Mul", [x, opening.add("Exp", [shifted], "inverse")], "normalised")


def scale_and_shift(opening: Opening, x: gs.Tensor, *parameters: gs.Tensor) -> gs.Tensor:
    """``x * scale + bias``, either of which may be left out by an empty name or by its absence."""
    for op, parameter in zip(("Mul", "Add"), parameters, strict=False):
        if parameter.name:
            x = opening.add(op, [x, parameter], op.lower())
    return x


def power(opening: Opening, x: gs.Tensor, p: int) -> gs.Variable:
    """``|x|^p``."""
    if p == 2:
        return opening.add("Mul", [x, x], "square")
    size = opening.add("Abs", [x], "size")
    return size if p == 1 else opening.add("Pow", [size, opening.number(p, "p")], "power")


def root(opening: Opening, x: gs.Tensor, p: int, floor: float = 0.0) -> gs.Tensor:
    """``max(x, floor)^(1/p)``; a sum of ``|x|^1`` is its own root, and needs no floor."""
    if p == 1:
        return x
    positive = opening.at_least(x, floor, "positive")
    if p == 2:
        return opening.add("Sqrt", [positive], "root")
    return opening.add("Pow", [positive, opening.number(1.0 / p, "1_over_p")], "root")


def log_of(opening: Opening, x: gs.Tensor) -> gs.Variable:
    """``log(max(x, tiny))``."""
    return opening.add("Log", [opening.at_least(x, TINY, "positive")], "log")
