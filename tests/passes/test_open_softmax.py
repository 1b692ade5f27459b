import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.passes import OpenSoftmax
from spikec.passes.graph_io import import_graph
from spikec.passes.open_softmax import Reach, Rows
from spikec.shape_inference import infer_shapes
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


REACHES = [Reach(-3.0), Reach(), Reach(7.0), Reach(0.5, -40.0)]


@settings(max_examples=120, deadline=None)
@given(shapes_and_axes(), st.sampled_from(["Softmax", "LogSoftmax"]), st.sampled_from(REACHES))
def test_any_axis_and_any_reach(case, op, reach):
    shape, axis = case
    opened(OpenSoftmax({"op": reach}), f"{op}<axis = {axis}>(x)", normal(*shape) * 3)


@settings(max_examples=60, deadline=None)
@given(shapes_and_axes(), st.sampled_from(["Softmax", "LogSoftmax"]))
def test_rows_of_unknown_length(case, op):
    shape, axis = case
    model = operator_model(f"{op}<axis = {axis}>(x)", normal(*shape), dims=", ".join("ABCD"[: len(shape)]))
    changed, _ = keeps_outputs(OpenSoftmax({"op": Reach(7.0)}), model, {"x": normal(*shape) * 3})
    assert count(changed, "ReduceSum") == 1


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 2), max_size=3), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(REACHES))
def test_log_sum_exp_over_any_axes(axes, negative, keepdims, noop, reach):
    given_axes = ints(*(axis - 3 if negative else axis for axis in sorted(axes)))
    call = f"ReduceLogSumExp<keepdims = {int(keepdims)}, noop_with_empty_axes = {int(noop)}>(x, axes)"
    opened(OpenSoftmax({"op": reach}), call, normal(2, 3, 4) * 3, axes=given_axes)


def test_log_sum_exp_over_all_axes():
    opened(OpenSoftmax(), "ReduceLogSumExp(x)", X)
    opened(OpenSoftmax(), "ReduceLogSumExp<keepdims = 0>(x)", X)


def of_unknown_length(call, x):
    """The model with a row that no tree can be built for."""
    return operator_model(call, x, dims=", ".join("ABCD"[: x.ndim]))


def test_neurons_of_each():
    """Five elements make a tree of three levels, each a neuron on differences."""
    tree = [("Softplus", "unary")] * 3
    assert kinds(opened(OpenSoftmax(), "Softmax(x)", X)[0]) == [("Exp", "unary"), *tree]
    assert kinds(opened(OpenSoftmax(), "LogSoftmax(x)", X)[0]) == tree
    last = {"axes": ints(-1)}
    assert kinds(opened(OpenSoftmax(), "ReduceLogSumExp(x, axes)", X, **last)[0]) == tree
    # the fifth element, without a partner on the first level, is held to the floor by itself
    masked = [("Max", "binary"), ("Max", "unary"), *tree[:2]]
    assert kinds(opened(OpenSoftmax({"op": Reach(0.0, -40.0)}), "LogSoftmax(x)", X)[0]) == masked


def test_neurons_of_rows_of_unknown_length():
    def neurons(op):
        return kinds(run_pass(OpenSoftmax(), of_unknown_length(f"{op}(x)", X))[0])

    assert neurons("Softmax") == [("Div", "binary"), ("Exp", "unary"), ("Max", "unary")]
    assert neurons("LogSoftmax") == neurons("ReduceLogSumExp") == [("Exp", "unary"), ("Log", "unary"), ("Max", "unary")]


def test_the_axis_is_the_last_where_none_is_given():
    model, _ = run_pass(OpenSoftmax(), of_unknown_length("Softmax(x)", X))
    assert initializer(model, "op/axes") == [-1]


def test_each_node_has_a_shift_of_its_own_and_zero_where_none_is_given():
    text = """g (float[N, M] x) => (float[N, 4] y) {
      [one] a = Softmax(x) b = MatMul(a, w) [two] c = Softmax<axis = 0>(b) y = MatMul(c, w) }"""
    model, _ = keeps_outputs(OpenSoftmax({"two": Reach(1.5)}), parse(text, w=normal(4, 4)), {"x": normal(3, 4)})
    assert initializer(model, "one/shift") == 0
    assert initializer(model, "two/shift") == 1.5


def test_with_the_shift_of_its_maximum_exp_stays_in_range():
    x = X * 100
    model = of_unknown_length("Softmax(x)", x)
    assert not np.isfinite(run_model(run_pass(OpenSoftmax(), model)[0], {"x": x})["y"]).all()
    x = X + 500
    model = of_unknown_length("Softmax<axis = 1>(x)", x)
    keeps_outputs(OpenSoftmax({"op": Reach(float(x.max()))}), model, {"x": x})


def test_a_tree_needs_no_shift():
    x = X * 100  # rows whose maxima lie hundreds apart
    for op in ("Softmax", "LogSoftmax"):
        opened(OpenSoftmax(), f"{op}(x)", x)


@pytest.mark.parametrize("mask", [-np.inf, -3.4e38, -1e9, -1e4])
@pytest.mark.parametrize("known", [True, False])
def test_masked_elements_are_zero(mask, known):
    x = X.copy()
    x[0, :, :, 2:] = x[1, 0, 0, 0] = mask
    model = operator_model("Softmax(x)", x) if known else of_unknown_length("Softmax(x)", x)
    model, _ = keeps_outputs(OpenSoftmax({"op": Reach(4.0, -45.0)}), model, {"x": x})
    y = run_model(model, {"x": x})["y"]
    assert (y[0, :, :, 2:] == 0).all() and np.allclose(y.sum(-1), 1)


def test_the_floor_keeps_the_division_and_the_logarithm_defined_for_estimates_below_zero():
    for op, user in (("Softmax", "Div"), ("LogSoftmax", "Log")):
        model, _ = run_pass(OpenSoftmax(), of_unknown_length(f"{op}(x)", X))
        node = next(n for n in model.graph.node if n.op_type == user)
        floor = next(n for n in model.graph.node if n.output[0] == node.input[-1])
        assert floor.op_type == "Max"
        assert initializer(model, floor.input[1]) == np.finfo(np.float32).tiny


def test_a_network_whose_sums_are_tiny_is_not_changed():
    """exp(x - c) = 1e-35, far below the mean, and far above the floor."""
    x = normal(2, 4) / 10
    keeps_outputs(OpenSoftmax({"op": Reach(80.0)}), of_unknown_length("Softmax(x)", x), {"x": x})


def test_rows_are_what_has_to_be_measured():
    text = """g (float[N, 4] x, float[N, 4] mask) => (float[N, 4] y) {
      h = MatMul(x, s) [one] a = Softmax<axis = 1>(h) m = Add(a, mask) [two] b = LogSoftmax(m)
      [three] c = ReduceLogSumExp(b, axes) [four] d = ReduceLogSumExp(c)
      [five] e = ReduceLogSumExp<noop_with_empty_axes = 1>(b)
      f = Sum(a, c, d, e) g = MatMul(f, w) [readout] y = Softmax(g) }"""
    graph = import_graph(infer_shapes(parse(text, w=normal(4, 4), s=normal(4, 4), axes=ints(0, -1))))
    assert OpenSoftmax().rows(graph) == {
        "one": Rows("h", "Softmax", (1,), one_shift=False, masked=False),
        "two": Rows("m", "LogSoftmax", (-1,), one_shift=False, masked=True),
        "three": Rows("b", "ReduceLogSumExp", (0, -1), one_shift=True, masked=False),
        "four": Rows("c", "ReduceLogSumExp", None, one_shift=False, masked=False),
        "five": Rows("b", "ReduceLogSumExp", (), one_shift=True, masked=False),
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
