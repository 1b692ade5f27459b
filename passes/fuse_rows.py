"""Norms, softmax and the like that stand in the graph as their parts become one function: one neuron later."""

import onnx_graphsurgeon as gs

from spikec.passes.operators import ROW_PREFIX
from spikec.passes.records import Record
from spikec.passes.regions import fuse
from spikec.passes.row_broadcasts import plain_broadcasts
from spikec.passes.row_regions import find_rows


class FuseRows:
    """Puts every row region into a function of its own: granularity "composite" makes one neuron of kind row of it.

    before: x -> Mul(x, x) -> ReduceMean -> Add(epsilon) -> Sqrt -> r;  (x, r) -> Div -> y
    after:  x -> spikec.f::Row_Mul_ReduceMean_Add_Sqrt_Div_<hash> -> y

    A row region starts from one value tensor and ends in one of the same shape. It is made of elementwise operators,
    reductions and constants; in it something reduced comes back to what it was reduced from (in the softmax
    e = exp(x - max(x)), e / sum(e) twice). No pattern is listed: layer norm, RMS norm, GRN, L2 normalisation, softmax
    and log softmax all have this form.

    Elementwise nonlinearities before and behind the row are inside where nothing else starts the region: relu(norm(x))
    is one neuron with one range. What is affine at either end stays in the segment, where it is exact: the
    centring of a layer norm, its scale and bias, a residual. A tensor inside that is used elsewhere too is
    computed twice, as with FuseElementwise.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Fuse all row regions.

        Skipped, with the reason, is a nonlinearity that joins a reduced tensor with a larger one and is no row: the
        two start from different tensors, or the output has not their tensor's shape, or the rank is unknown.
        """
        record = Record(rewrote=plain_broadcasts(graph))
        regions, record.skipped = find_rows(graph)
        for region in regions:
            fuse(graph, region, record, ROW_PREFIX)
        return graph.cleanup().toposort(), record
