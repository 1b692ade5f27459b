import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.passes import OpenSoftmax
from spikec.passes.graph_io import import_graph
from spikec.passes.open_softmax import Rows
from tests.models.graphs import (
    count,
    initializer,
    ints,
    keeps_outputs,
    normal,
    operators,
    parse,
    run_model,
    run_pass,
    same_outputs,
)
from tests.models.opened import kinds, opened, operator_model

X = normal(2, 3, 4, 5) * 3 + 1


@st.composite
def shapes_and_axes(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@settings(max_examples=60, deadline=None)
@given(shapes_and_axes(), st.sampled_from(["Softmax", "LogSoftmax"]), st.sampled_from([-3.0, 0.0, 0.5, 7.0]))
def test_any_axis_and_any_shift(case, op, shift):
    shape, axis = case
    opened(OpenSoftmax({"op": shift}), f"{op}<axis = {axis}>(x)", normal(*shape) * 3)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 2), max_size=3), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.0, 2.0]))
def test_log_sum_exp_over_any_axes(axes, negative, keepdims, noop, shift):
    given_axes = ints(*(axis - 3 if negative else axis for axis in sorted(axes)))
    call = f"ReduceLogSumExp<keepdims = {int(keepdims)}, noop_with_empty_axes = {int(noop)}>(x, axes)"
    opened(OpenSoftmax({"op": shift}), call, normal(2, 3, 4) * 3, axes=given_axes)


def test_log_sum_exp_over_all_axes():
    opened(OpenSoftmax(), "ReduceLogSumExp(x)", X)
    opened(OpenSoftmax(), "ReduceLogSumExp<keepdims = 0>(x)", X)


def test_neurons_of_each():
    assert kinds(opened(OpenSoftmax(), "Softmax(x)", X)[0]) == [("Div", "binary"), ("Exp", "unary"), ("Max", "unary")]
    logarithm = [("Exp", "unary"), ("Log", "unary"), ("Max", "unary")]
    assert kinds(opened(OpenSoftmax(), "LogSoftmax(x)", X)[0]) == logarithm
    assert kinds(opened(OpenSoftmax(), "ReduceLogSumExp(x)", X)[0]) == logarithm


def test_the_axis_is_the_last_where_none_is_given():
    model, _ = opened(OpenSoftmax(), "Softmax(x)", X)
    assert initializer(model, "op/axes") == [-1]


def test_each_node_has_a_shift_of_its_own_and_zero_where_none_is_given():
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      [one] a = Softmax(x) b = MatMul(a, w) [two] c = Softmax(b) y = MatMul(c, w) }"""
    model, _ = keeps_outputs(OpenSoftmax({"two": 1.5}), parse(text, w=normal(4, 4)), {"x": normal(3, 4)})
    assert initializer(model, "one/shift") == 0
    assert initializer(model, "two/shift") == 1.5


def test_with_the_shift_of_its_maximum_exp_stays_in_range():
    x = X * 100
    assert not np.isfinite(run_model(run_pass(OpenSoftmax(), operator_model("Softmax(x)", x))[0], {"x": x})["y"]).all()
    x = X + 500
    opened(OpenSoftmax({"op": float(x.max())}), "Softmax<axis = 1>(x)", x)


def test_masked_elements_are_zero():
    x = X.copy()
    x[0, :, :, 2:] = x[1, 0, 0, 0] = -np.inf
    model, _ = opened(OpenSoftmax({"op": 4.0}), "Softmax(x)", x)
    y = run_model(model, {"x": x})["y"]
    assert (y[0, :, :, 2:] == 0).all() and np.allclose(y.sum(-1), 1)


def test_the_floor_keeps_the_division_and_the_logarithm_defined_for_estimates_below_zero():
    for op, user in (("Softmax", "Div"), ("LogSoftmax", "Log")):
        model, _ = opened(OpenSoftmax(), f"{op}(x)", X)
        node = next(n for n in model.graph.node if n.op_type == user)
        floor = next(n for n in model.graph.node if n.output[0] == node.input[-1])
        assert floor.op_type == "Max"
        assert initializer(model, floor.input[1]) == np.finfo(np.float32).tiny


def test_a_network_whose_sums_are_tiny_is_not_changed():
    """exp(x - c) = 1e-35, far below the mean, and far above the floor."""
    opened(OpenSoftmax({"op": 80.0}), "Softmax(x)", normal(2, 4) / 10)


def test_rows_are_what_has_to_be_measured():
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      h = Mul(x, s) [one] a = Softmax<axis = 1>(h) [two] b = LogSoftmax(a)
      [three] c = ReduceLogSumExp(b, axes) [four] d = ReduceLogSumExp(c)
      [five] e = ReduceLogSumExp<noop_with_empty_axes = 1>(b)
      f = Sum(a, c, d, e) g = MatMul(f, w) [readout] y = Softmax(g) }"""
    graph = import_graph(parse(text, w=normal(4, 4), s=normal(4), axes=ints(0, -1)))
    assert OpenSoftmax().rows(graph) == {
        "one": Rows("h", "Softmax", (1,)),
        "two": Rows("a", "LogSoftmax", (-1,)),
        "three": Rows("b", "ReduceLogSumExp", (0, -1)),
        "four": Rows("c", "ReduceLogSumExp", None),
        "five": Rows("b", "ReduceLogSumExp", ()),
    }


def test_a_readout_stays():
    text = "g (float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, w) [soft] y = Softmax(a) }"
    model, record = keeps_outputs(OpenSoftmax(), parse(text, w=normal(4, 4)), {"x": normal(3, 4)})
    assert record.rewrote == [] and operators(model) == ["MatMul", "Softmax"]


def test_an_unknown_rank_is_no_obstacle():
    text = "g (float[N, 4] x) => (float[N, 4] y) { n = Neg(x) a = Softmax<axis = 1>(n) y = MatMul(a, w) }"
    model = parse(text, w=normal(4, 4))
    del model.graph.value_info[:]
    changed, _ = run_pass(OpenSoftmax(), model)
    assert count(changed, "Softmax") == 0
    same_outputs(model, changed, {"x": normal(3, 4)})


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_it_may_be_an_output_that_goes_on(op):
    text = f"g (float[N, 4] x) => (float[N, 4] a, float[N, 4] y) {{ [op] a = {op}(x) y = MatMul(a, w) }}"
    model, _ = keeps_outputs(OpenSoftmax(), parse(text, w=normal(4, 4)), {"x": normal(3, 4)})
    assert "a" in {name for node in model.graph.node for name in node.output}
    onnx.checker.check_model(model, full_check=True)
