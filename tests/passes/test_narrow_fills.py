import numpy as np
import pytest

from spikec.passes import FuseElementwise, NarrowFills
from tests.models.graphs import count, ints, keeps_outputs, normal, operators, parse, scalar, with_ranks

CONSTANTS = {
    "w": normal(4, 4),
    "six": scalar(6),
    "ones": np.ones((1, 1), np.float32),
    "vector": normal(4, seed=1),
    "tall": ints(3, 1, 1),
    "zero": ints(0),
    "slope": normal(4, seed=2),
}
X = {"x": normal(3, 4, seed=3), "z": normal(1, 4, seed=4)}
ZEROS = "s = Shape(x) o = ConstantOfShape(s)"
FILLED = {
    "zeros": f"{ZEROS} c = Greater(x, o) a = Where(c, x, o)",
    "ones": "s = Shape(x) o = ConstantOfShape<value = float[1] {1}>(s) a = Max(x, o)",
    "an expanded number": "s = Shape(x) o = Expand(six, s) a = Min(o, x)",
    "an expanded array of one": "s = Shape(x) o = Expand(ones, s) a = Sub(o, x)",
    "negative ones": "s = Shape(x) o = ConstantOfShape<value = float[1] {1}>(s) n = Neg(o) a = Max(x, n)",
    "a cast fill": "s = Shape(x) o = ConstantOfShape<value = int64[1] {2}>(s) n = Cast<to = 1>(o) a = Max(x, n)",
    "a sum of a fill and a number": f"{ZEROS} n = Add(o, six) m = Mul(n, n) a = Min(x, m)",
    "a shape put together": "b = Shape<end = 1>(x) r = Shape<start = 1>(w) s = Concat<axis = 0>(b, r) "
    "o = ConstantOfShape(s) a = Max(o, x)",
    "both branches": f"{ZEROS} o1 = Expand(six, s) c = Greater(x, o) a = Where(c, o, o1)",
    "zeros of a column": "r = ReduceMax<keepdims = 1>(x, axis) s = Shape(r) o = ConstantOfShape(s) a = Max(x, o)",
}
KEPT = {
    "it widens": "s = Shape(x) o = ConstantOfShape(s) a = Add(z, o)",
    "it has more dimensions": "b = Shape(x) s = Concat<axis = 0>(tall, b) o = ConstantOfShape(s) "
    "p = Add(x, o) a = ReduceMax<keepdims = 0>(p, zero)",
    "it is read by an operator that does not widen": f"{ZEROS} a = PRelu(o, x)",
    "it is an operand of something else": f"{ZEROS} a = Concat<axis = 0>(x, o)",
    "it is no fill": "s = Shape(x) o = Expand(vector, s) a = Max(x, o)",
    "it stands alone": f"{ZEROS} a = Add(o, o)",
}


def narrowed(nodes):
    text = f"g (float[N, 4] x, float[1, 4] z) => (float[M, 4] y) {{ {nodes} y = MatMul(a, w) }}"
    model = with_ranks(parse(text, **CONSTANTS, axis=ints(1)), X)
    return keeps_outputs(NarrowFills(), model, X)


@pytest.mark.parametrize("name", FILLED)
def test_a_fill_becomes_a_number(name):
    model, record = narrowed(FILLED[name])
    assert not {"ConstantOfShape", "Expand", "Shape"} & set(operators(model))
    assert "a" in record.rewrote


@pytest.mark.parametrize("name", KEPT)
def test_a_fill_stays_where_its_size_is_needed_or_may_be(name):
    model, record = narrowed(KEPT[name])
    assert count(model, "ConstantOfShape") + count(model, "Expand") == 1 and record.rewrote == []


def test_one_reader_may_need_the_fill_where_another_does_not():
    model, record = narrowed(f"{ZEROS} m = Max(x, o) p = PRelu(o, slope) a = Add(m, p)")
    assert count(model, "ConstantOfShape") == 1 and record.rewrote == ["m"]


def test_open_dimensions_of_different_names_may_differ():
    text = """g (float[N, 4] x, float[M, 4] z) => (float[K, 4] y) {
      s = Shape(z) o = ConstantOfShape(s) a = Add(x, o) y = MatMul(a, w) }"""
    for batch in (1, 3):
        feeds = {"x": X["x"][:1], "z": normal(batch, 4)}
        model, record = keeps_outputs(NarrowFills(), parse(text, **CONSTANTS), feeds)
        assert count(model, "ConstantOfShape") == 1 and record.rewrote == []


def test_without_fills_a_choice_is_one_function():
    model, _ = narrowed(FILLED["zeros"])
    fused, record = keeps_outputs(FuseElementwise(), model, X)
    assert record.rewrote == ["a"] and len(fused.graph.node) == 2
