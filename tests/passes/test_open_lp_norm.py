import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from spikec.passes import OpenLpNorm, UnsupportedNode
from tests.models.graphs import count, initializer, normal, parse, run_model, run_pass, scalar
from tests.models.opened import kinds, opened

X = normal(2, 5, 3, 4) * 2


@st.composite
def shapes_and_axes(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@settings(max_examples=40, deadline=None)
@given(shapes_and_axes(), st.sampled_from([1, 2]))
def test_lp_normalization_along_any_axis(case, p):
    shape, axis = case
    opened(OpenLpNorm(), f"LpNormalization<axis = {axis}, p = {p}>(x)", normal(*shape))


def test_it_is_the_second_norm_along_the_last_axis_where_nothing_is_given():
    opened(OpenLpNorm(), "LpNormalization(x)", X)


@pytest.mark.parametrize("p", [1, 2])
def test_rows_of_zeros_stay_zero(p):
    x = X.copy()
    x[0, 1] = x[1, 2, 0] = 0
    model, _ = opened(OpenLpNorm(), f"LpNormalization<p = {p}>(x)", x)
    y = run_model(model, {"x": x})["y"]
    assert (y[0, 1] == 0).all() and (y[1, 2, 0] == 0).all()


@pytest.mark.parametrize("p", [1, 2])
def test_short_rows_are_not_changed_by_the_floor(p):
    opened(OpenLpNorm(), f"LpNormalization<p = {p}>(x)", X * np.float32(1e-15))


def test_neurons():
    first, second = (opened(OpenLpNorm(), f"LpNormalization<p = {p}>(x)", X)[0] for p in (1, 2))
    assert kinds(first) == [("Abs", "unary"), ("Div", "binary"), ("Max", "unary")]
    assert kinds(second) == [("Div", "binary"), ("Max", "unary"), ("Mul", "unary"), ("Sqrt", "unary")]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6),
    st.sampled_from([1, 3, 5, 7]),
    st.sampled_from(["", ", alpha = 2.0", ", beta = 0.5, bias = 0.3", ", alpha = 0.7, beta = 1.0, bias = 2.0"]),
)
def test_local_response_normalization(channels, size, others):
    """A window may be wider than the channels."""
    opened(OpenLpNorm(), f"LRN<size = {size}{others}>(x)", normal(2, channels, 3, 2) * 3)


def test_a_window_of_even_size_holds_one_channel_more_behind_than_before():
    """By the definition in ONNX: onnxruntime takes odd sizes only."""
    text = "g (float[N, 5, 3, 2] x) => (float[N, 5, 3, 2] y) { a = LRN<size = 4, alpha = 2.0>(x) y = Einsum<equation = "
    text += '"...,->...">(a, unit) }'
    x = normal(2, 5, 3, 2)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 2), (0, 0), (0, 0)))
    sums = sum(squares[:, i : i + 5] for i in range(4))
    found = run_model(run_pass(OpenLpNorm(), parse(text, unit=scalar(1)))[0], {"x": x})["y"]
    np.testing.assert_allclose(found, x / (1 + 2 / 4 * sums) ** 0.75, rtol=1e-5)


def test_neurons_of_a_local_response_normalization():
    model, _ = opened(OpenLpNorm(), "LRN<size = 3>(x)", X)
    assert kinds(model) == [("Div", "binary"), ("Max", "unary"), ("Mul", "unary"), ("Pow", "unary")]
    assert initializer(model, "op/alpha") == np.float32(1e-4)
    assert initializer(model, "op/beta") == np.float32(0.75) and initializer(model, "op/bias") == 1


def test_a_response_normalization_of_unknown_rank_is_refused():
    text = """g (float[N, 4, 3, 3] x) => (float[N, 4, 3, 3] y) {
      n = Neg(x) [here] a = LRN<size = 3>(n) y = Einsum<equation = "...,->...">(a, unit) }"""
    model = parse(text, unit=scalar(1))
    del model.graph.value_info[:]
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenLpNorm(), model)
    assert (refused.value.node, refused.value.op, refused.value.reason) == ("here", "LRN", "its rank is unknown")


def test_a_readout_stays():
    text = "g (float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, w) y = LpNormalization(a) }"
    model, record = run_pass(OpenLpNorm(), parse(text, w=normal(4, 4)))
    assert record.rewrote == [] and count(model, "LpNormalization") == 1
