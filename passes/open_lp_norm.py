"""LpNormalization and LRN as the elementwise neurons that granularity "strict" allows."""

import onnx_graphsurgeon as gs

from spikec.passes.normalise import power, root
from spikec.passes.opening import TINY, Opening, open_nodes
from spikec.passes.records import Record


class OpenLpNorm:
    """Opens the norms that divide by a sum of powers.

    before: x -> LpNormalization(axis, p) -> y
    after:  y = x / max(sum(|x|^p), tiny)^(1/p)        a row of zeros stays zero, as ONNX defines it

    before: x -> LRN(size, alpha, beta, bias) -> y     (Krizhevsky et al. 2012, local response normalisation)
    after:  y = x / (max(mean(x*x over size channels), 0) * alpha + bias)^beta

    The mean over a window of channels is an AveragePool along them, padded with zeros: the divisor is always size.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every such norm on the value path.

        Raises:
            UnsupportedNode: an LRN of unknown rank.
        """
        return open_nodes(graph, {"LpNormalization": _lp_norm, "LRN": _response_norm})


def _lp_norm(opening: Opening) -> gs.Tensor:
    attrs = opening.node.attrs
    p, axes = int(attrs.get("p", 2)), opening.integers([int(attrs.get("axis", -1))], "axes")
    total: gs.Tensor = opening.add("ReduceSum", [power(opening, opening.x, p), axes], "sum", keepdims=1)
    norm = opening.at_least(total, TINY, "positive") if p == 1 else root(opening, total, p, TINY)
    return opening.add("Div", [opening.x, norm], "normalised")


def _response_norm(opening: Opening) -> gs.Tensor:
    attrs = opening.node.attrs
    mean = _mean_over_channels(opening, power(opening, opening.x, 2), int(attrs["size"]))
    positive = opening.at_least(mean, 0, "positive")
    scaled = opening.add("Mul", [positive, opening.number(float(attrs.get("alpha", 1e-4)), "alpha")], "scaled")
    shifted = opening.add("Add", [scaled, opening.number(float(attrs.get("bias", 1.0)), "bias")], "shifted")
    divisor = opening.add("Pow", [shifted, opening.number(float(attrs.get("beta", 0.75)), "beta")], "divisor")
    return opening.add("Div", [opening.x, divisor], "normalised")


def _mean_over_channels(opening: Opening, x: gs.Tensor, size: int) -> gs.Variable:
    """For (N, C, ...) the mean over channels c - floor((size-1)/2) .. c + ceil((size-1)/2), zero outside of 0..C-1."""
    spatial = opening.rank() - 2
    pads = [(size - 1) // 2, *[0] * spatial, size // 2, *[0] * spatial]
    axis = opening.integers([1], "axis")  # the channels become a spatial axis, behind one channel of their own
    lifted = opening.add("Unsqueeze", [x, axis], "lifted")
    kernel = [size, *[1] * spatial]
    pooled = opening.add("AveragePool", [lifted], "pooled", kernel_shape=kernel, pads=pads, count_include_pad=1)
    return opening.add("Squeeze", [pooled, axis], "mean")
