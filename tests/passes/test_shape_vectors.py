import pytest

from spikec.passes.graph_io import import_graph
from spikec.passes.shape_vectors import known_shape, product, quotient, shape_contents
from tests.models.graphs import ints, parse

CONSTANTS = {"third": ints(2), "zero": ints(0), "tail": ints(3, 4), "last": ints(-1), "four": ints(4)}


@pytest.mark.parametrize(
    ("nodes", "contents"),
    [
        ("s = Shape(x)", ["N", 3, 4]),
        ("s = Shape<start = -1>(x)", [4]),
        ("s = Shape<start = 0, end = -1>(x)", ["N", 3]),
        ("b = Shape(x) s = Gather(b, third)", [4]),
        ("b = Shape(x) c = Gather(b, zero) d = Squeeze(c) s = Reshape(d, last)", ["N"]),
        ("b = Shape(x) c = Concat<axis = 0>(tail, b) s = Identity(c)", [3, 4, "N", 3, 4]),
        ("b = Shape<end = 1>(x) s = Mul(four, b)", ["4*N"]),
        ("b = Shape<end = 1>(x) c = Mul(b, four) d = Mul(b, c) s = Concat<axis = 0>(d, tail)", ["4*N*N", 3, 4]),
        ("b = Shape(x) s = Mul(b, third)", None),
        ("b = Shape(x) c = Abs(b) s = Concat<axis = 0>(b, c)", None),
        ("b = Shape(x) i = Size(x) s = Gather(b, i)", None),
    ],
)
def test_contents_of_a_shape(nodes, contents):
    graph = import_graph(parse(f"g (float[N, 3, 4] x) => (int64[K] s) {{ {nodes} }}", **CONSTANTS))
    assert shape_contents(graph.outputs[0]) == contents


def test_contents_of_a_constant_and_of_an_input():
    graph = import_graph(parse("g (int64[3] s) => (int64[5] y) { y = Concat<axis = 0>(s, tail) }", **CONSTANTS))
    source, tail = graph.nodes[0].inputs
    assert shape_contents(tail) == [3, 4] and shape_contents(source) is None


def test_a_shape_with_a_nameless_dimension_is_not_known():
    graph = import_graph(parse("g (float[N, 3] x) => (float[N, 3] y) { y = Abs(x) }"))
    (x,) = graph.inputs
    assert known_shape(x) == ["N", 3]
    x.shape = [None, 3]
    assert known_shape(x) is None
    x.shape = None
    assert known_shape(x) is None


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 1),
        ([2, 3], 6),
        (["N"], "N"),
        ([1, "N"], "N"),
        (["N", 4], "4*N"),
        (["4*N", 16], "64*N"),
        (["M", "N"], "M*N"),
        (["N", "M"], "M*N"),
        (["s0 + 1"], "s0 + 1"),
        ([2, "s0 + 1"], "2*(s0 + 1)"),  # not the name "2*s0 + 1", which is another size
    ],
)
def test_every_product_has_one_name(sizes, expected):
    assert product(sizes) == expected


@pytest.mark.parametrize(
    ("sizes", "divisors", "expected"),
    [
        (["N", 6], [3], "2*N"),
        (["64*N", 49], [64, 49], "N"),
        (["N", "M"], ["N"], "M"),
        ([12], [5], None),
        (["N"], ["M"], None),
        ([4], [0], None),
        (["2*s0 + 1"], [2], None),
        (["s0 + 1", 4], [4], "s0 + 1"),
    ],
)
def test_quotients_that_come_out_even(sizes, divisors, expected):
    assert quotient(sizes, divisors) == expected
