"""Elementwise chains that start from one tensor, or join two, become one function: one neuron later."""

import onnx_graphsurgeon as gs

from spikec.passes.elementwise_regions import find_regions
from spikec.passes.records import Record
from spikec.passes.regions import fuse
from spikec.passes.surgery import function_of


class FuseElementwise:
    """Puts every elementwise region with one or two value inputs and a nonlinearity in it into a function of its own.

    before: x -> Sigmoid -> s;  (x, s) -> Mul -> y        after: x -> spikec.f::Sigmoid_Mul_<hash> -> y

    The chain's body is the body of the function, so a neuron needs no range for anything inside it.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Fuse each region of two nodes or more; a single operator is already what a neuron can hold."""
        record = Record()
        for region in find_regions(graph):
            if len(region.nodes) > 1:
                fuse(graph, region, record)
        graph.cleanup().toposort()
        _drop_unused_functions(graph)
        return graph, record


def _drop_unused_functions(graph: gs.Graph) -> None:
    """A chain fused again into a longer one may leave its function without a caller."""
    used: set[tuple[str | None, str]] = set()
    pending = list(graph.nodes)
    while pending:
        node = pending.pop()
        function = function_of(graph, node.domain or "", node.op)
        if function is not None and (node.domain, node.op) not in used:
            used.add((node.domain, node.op))
            pending.extend(function.nodes)
    graph.functions = [f for f in graph.functions if (f.domain, f.name) in used]
