import pytest

from spikec.passes.graph_io import import_graph
from spikec.passes.masks import may_be_masked
from tests.models.graphs import normal, parse


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("a = MatMul(x, w)", False),
        ("m = MatMul(x, w) a = Add(m, bias)", False),  # what constants add the values of any sample show
        ("m = MatMul(x, w) a = Add(m, mask)", True),
        ("m = MatMul(x, w) t = Transpose(m) r = Add(mask, t) a = Mul(r, bias)", True),
        ("m = MatMul(x, w) z = Sigmoid(mask) a = Add(m, z)", False),  # a layer made it
        ("m = MatMul(x, w) p = Greater(mask, bias) a = Where(p, m, bias)", True),
        ("m = MatMul(x, w) n = MatMul(mask, w) a = Add(m, n)", False),
        ("a = Identity(x)", True),
    ],
)
def test_what_may_hold_masks(nodes, expected):
    text = f"g (float[4, 4] x, float[4, 4] mask) => (float[4, 4] y) {{ {nodes} y = Softmax(a) }}"
    graph = import_graph(parse(text, w=normal(4, 4), bias=normal(4)))
    softmax = next(node for node in graph.nodes if node.op == "Softmax")
    assert may_be_masked(softmax.inputs[0]) is expected
