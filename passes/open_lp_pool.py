"""Lp pooling as the elementwise neurons that granularity "strict" allows."""

from math import prod

import onnx_graphsurgeon as gs

from spikec.passes.normalise import power, root
from spikec.passes.opening import Opening, open_nodes
from spikec.passes.pool_windows import explicit_pads, spatial_size
from spikec.passes.records import Record


class OpenLpPool:
    """Opens LpPool and GlobalLpPool into powers, a sum and a root.

    before: x -> LpPool(p, kernel) -> y
    after:  y = (max(AveragePool(Pad(|x|^p, 0)) * size of the kernel, 0))^(1/p)

    before: x -> GlobalLpPool(p) -> y
    after:  y = (max(sum(|x|^p), 0))^(1/p)

    The padding is spelled out, what ceil_mode and auto_pad add to it included, so that all windows have one size.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every Lp pooling on the value path.

        Raises:
            UnsupportedNode: its spatial size (GlobalLpPool: its rank) is not known.
        """
        return open_nodes(graph, {"LpPool": _lp_pool, "GlobalLpPool": _global_lp_pool})


def _global_lp_pool(opening: Opening) -> gs.Tensor:
    p = int(opening.node.attrs.get("p", 2))
    axes = opening.integers(list(range(2, opening.rank())), "axes")
    return root(opening, opening.add("ReduceSum", [power(opening, opening.x, p), axes], "sum", keepdims=1), p)


def _lp_pool(opening: Opening) -> gs.Tensor:
    attrs = opening.node.attrs
    p, kernel = int(attrs.get("p", 2)), [int(k) for k in attrs["kernel_shape"]]
    before, after = explicit_pads(spatial_size(opening), attrs)
    pads = opening.integers([0, 0, *before, 0, 0, *after], "pads")
    padded = opening.add("Pad", [power(opening, opening.x, p), pads], "padded")
    kept = {key: attrs[key] for key in ("kernel_shape", "strides", "dilations") if key in attrs}
    mean = opening.add("AveragePool", [padded], "mean", **kept)
    total = opening.add("Mul", [mean, opening.number(float(prod(kernel)), "elements")], "sum")
    return root(opening, total, p)
