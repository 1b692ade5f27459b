import pytest

from spikec.passes.records import Record
from spikec.passes.row_broadcasts import plain_broadcasts
from tests.models.graphs import count, ints, keeps_outputs, normal, operators, parse, with_ranks

CONSTANTS = {
    "last": ints(-1),
    "zero": ints(0),
    "tail": ints(3, 4),
    "ones": ints(3, 1),
    "fixed": ints(2, 3, 4),
    "unitary": ints(1, 1, 1),
    "keep": ints(0, 0, 1),
    "open": ints(-1, 3, 1),
    "pairs": ints(-1, 1),
    "same": ints(-1, 3),
    "slope": normal(3, 4),
}
X = {"x": normal(2, 3, 4), "z": normal(2, 3, 4, seed=1)}
BATCH = "b = Shape<start = 0, end = 1>(x) s = Concat<axis = 0>(b, tail)"


class Plain:
    """plain_broadcasts as a pass."""

    def __call__(self, graph):
        return graph, Record(rewrote=plain_broadcasts(graph))


def plain(nodes, outputs=("y",)):
    """The graph made plain, the names of what went or changed; outputs compared."""
    results = ", ".join(f"float[] {name}" for name in outputs)
    model = parse(f"g (float[N, 3, 4] x, float[N, 3, 4] z) => ({results}) {{ {nodes} }}", **CONSTANTS)
    after, record = keeps_outputs(Plain(), with_ranks(model, X), X)
    return after, record.rewrote


DROPPED = {
    "to the other operand's shape": "s = Shape(x) e = Expand(n, s) y = Div(x, e)",
    "to a shape put together": f"{BATCH} e = Expand(n, s) y = Div(x, e)",
    "to a shape taken apart": (
        "f = Shape(x) g = Gather(f, zero) h = Reshape(g, last) s = Concat<axis = 0>(h, tail) e = Expand(n, s) "
        "y = Div(x, e)"
    ),
    "to its own shape": ("b = Shape<start = 0, end = 1>(x) s = Concat<axis = 0>(b, ones) e = Expand(n, s) y = Sqrt(e)"),
    "to its own shape by ones": "e = Expand(n, unitary) y = Sqrt(e)",
    "an operator of its own in between": "s = Shape(x) e = Expand(n, s) r = Reciprocal(e) y = Mul(r, x)",
    "several consumers": "s = Shape(x) e = Expand(n, s) r = Exp(e) a = Mul(r, x) b = Add(x, e) y = Mul(a, b)",
    "another tensor of the same shape": "s = Shape(x) e = Expand(n, s) y = Div(z, e)",
}


@pytest.mark.parametrize("name", DROPPED)
def test_an_expand_goes_where_its_consumers_widen_all_the_same(name):
    model, names = plain(f"n = ReduceL2(x, last) {DROPPED[name]}")
    assert count(model, "Expand") == 0 and len(names) == 1


KEPT = {
    "nothing else widens": "s = Shape(x) e = Expand(n, s) y = Sqrt(e)",
    "the other operand comes from it too": "s = Shape(x) e = Expand(n, s) r = Sigmoid(e) y = Mul(e, r)",
    "the other operand comes from it by another way": (
        "s = Shape(x) e = Expand(n, s) r = Sigmoid(e) q = Mul(r, e) y = Div(q, e)"
    ),
    "its elements are counted": "s = Shape(x) e = Expand(n, s) t = ReduceSum(e, last) y = Div(x, t)",
    "one of two consumers needs it": "s = Shape(x) e = Expand(n, s) a = Mul(x, e) t = ReduceSum(e, last) y = Div(a, t)",
    "a fixed batch is no open one": "e = Expand(n, fixed) y = Div(x, e)",
    "PRelu does not widen": "s = Shape(x) e = Expand(n, s) y = PRelu(e, slope)",
    "more dimensions": "u = Unsqueeze(x, zero) s = Shape(u) e = Expand(n, s) y = Div(u, e)",
}


@pytest.mark.parametrize("name", KEPT)
def test_an_expand_stays_where_it_is_needed_or_may_be(name):
    model, names = plain(f"n = ReduceL2(x, last) {KEPT[name]}")
    assert count(model, "Expand") == 1 and names == []


def test_an_expand_that_is_an_output_stays():
    _, names = plain("n = ReduceL2(x, last) s = Shape(x) e = Expand(n, s) y = Div(x, e)", outputs=("y", "e"))
    assert names == []


def test_an_expand_to_its_own_shape_that_is_an_output_stays():
    _, names = plain("n = ReduceL2(x, last) e = Expand(n, unitary) y = Div(x, e)", outputs=("y", "e"))
    assert names == []


def test_an_expand_of_one_open_dimension_to_another_stays():
    text = """g (float[N, 3, 4] x, float[M, 3, 4] z) => (float[K, 3, 4] y) {
      n = ReduceL2(x, last) s = Shape(z) e = Expand(n, s) y = Div(z, e) }"""
    for batch in (1, 2):
        model, record = keeps_outputs(Plain(), parse(text, **CONSTANTS), {"x": X["x"][:batch], "z": X["z"]})
        assert count(model, "Expand") == 1 and record.rewrote == []


def test_of_two_expands_that_widen_each_other_one_stays():
    model, names = plain(
        "n = ReduceL2(x, last) m = ReduceL2(z, last) s = Shape(x) e = Expand(n, s) f = Expand(m, s) r = Sigmoid(e) "
        "y = Div(f, r)"
    )
    assert count(model, "Expand") == 1 and len(names) == 1


RESHAPED = {
    "computed": "b = Shape<end = 1>(x) s = Concat<axis = 0>(b, ones) k = Reshape(n, s)",
    "zeros copy": "k = Reshape(n, keep)",
    "one size is open": "k = Reshape(n, open)",
}


@pytest.mark.parametrize("name", RESHAPED)
def test_a_reshape_that_adds_ones_is_an_unsqueeze(name):
    model, names = plain(f"n = ReduceL2<keepdims = 0>(x, last) {RESHAPED[name]} y = Div(x, k)")
    assert operators(model) == ["Div", "ReduceL2", "Unsqueeze"] and names == ["k"]


def test_other_reshapes_stay():
    model, names = plain("n = ReduceL2<keepdims = 0>(x, last) f = Reshape(n, pairs) y = Sqrt(f)")
    assert count(model, "Reshape") == 1 and names == []


@pytest.mark.parametrize("name", ["same", "keep"])
def test_a_reshape_to_its_own_shape_is_gone(name):
    keepdims = int(name == "keep")
    model, names = plain(f"n = ReduceL2<keepdims = {keepdims}>(x, last) f = Reshape(n, {name}) y = Sqrt(f)")
    assert operators(model) == ["ReduceL2", "Sqrt"] and names == ["f"]


def test_a_reshape_to_its_own_shape_that_is_an_output_stays():
    _, names = plain("n = ReduceL2(x, last) f = Reshape(n, keep) y = Div(x, f)", outputs=("y", "f"))
    assert names == []
