import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.passes import OpenReduction, UnsupportedNode
from tests.models.graphs import count, ints, normal, operators, parse, reasons, run_pass, same_outputs, scalar
from tests.models.opened import kinds, opened, operator_model

SUMS = ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum")
TREES = {"ReduceMax": "Max", "ReduceMin": "Min", "ReduceProd": "Mul"}
X = np.abs(normal(2, 3, 4)) + 0.1  # a logarithm needs a positive sum


@st.composite
def reductions(draw):
    """Shape, axes (some from the back) and attributes of a reduction."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    rank = len(shape)
    chosen = draw(st.sets(st.integers(0, rank - 1)))
    axes = [axis - rank * draw(st.booleans()) for axis in draw(st.permutations(sorted(chosen)))]
    keepdims, noop = draw(st.booleans()), draw(st.booleans())
    return shape, axes, f"keepdims = {int(keepdims)}, noop_with_empty_axes = {int(noop)}"


@settings(max_examples=120, deadline=None)
@given(reductions(), st.sampled_from(SUMS))
def test_sums_over_any_axes(case, op):
    shape, axes, attributes = case
    x = normal(*shape) if op != "ReduceLogSum" else np.abs(normal(*shape)) + 0.1
    opened(OpenReduction(), f"{op}<{attributes}>(x, axes)", x, axes=ints(*axes))


@settings(max_examples=120, deadline=None)
@given(reductions(), st.sampled_from(sorted(TREES)))
def test_trees_over_any_axes(case, op):
    """The size of every axis is known; ONNX says by the attribute what reducing along no axes means."""
    shape, axes, attributes = case
    x, dims = normal(*shape), ", ".join(map(str, shape))
    model = operator_model(f"{op}<{attributes}>(x, axes)", x, dims=dims, axes=ints(*axes))
    changed, record = run_pass(OpenReduction(), model)
    same_outputs(model, changed, {"x": x})
    assert record.rewrote == ["op"] and count(changed, op) == 0
    assert {kind for _, kind in kinds(changed)} <= {"binary"}


@pytest.mark.parametrize("op", [*SUMS, *TREES])
@pytest.mark.parametrize("attributes", ["", "<keepdims = 0>"])
def test_all_axes_where_none_are_given(op, attributes):
    model = operator_model(f"{op}{attributes}(x)", X, dims="2, 3, 4")
    changed, _ = run_pass(OpenReduction(), model)
    same_outputs(model, changed, {"x": X})


@pytest.mark.parametrize(("size", "nodes"), [(1, 0), (2, 1), (3, 2), (8, 3), (9, 4), (197, 8)])
def test_a_tree_has_a_node_for_each_halving(size, nodes):
    model, _ = opened(OpenReduction(), "ReduceMax(x, axes)", normal(2, size), axes=ints(1))
    assert count(model, "Max") == nodes


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("ReduceL1", [("Abs", "unary")]),
        ("ReduceL2", [("Max", "unary"), ("Mul", "unary"), ("Sqrt", "unary")]),
        ("ReduceSumSquare", [("Mul", "unary")]),
        ("ReduceLogSum", [("Log", "unary"), ("Max", "unary")]),
    ],
)
def test_neurons(op, expected):
    assert kinds(opened(OpenReduction(), f"{op}(x, axes)", X, axes=ints(-1))[0]) == expected


def test_sums_need_neither_shapes_nor_constant_axes():
    text = """g (float[N, 3, 4] x, int64[1] axes) => (float[N, P, Q] y) {
      n = Neg(x) [op] a = ReduceL2(n, axes) y = Einsum<equation = "...,->...">(a, unit) }"""
    model = parse(text, unit=scalar(1))
    del model.graph.value_info[:]
    changed, record = run_pass(OpenReduction(), model)
    assert record.rewrote == ["op"] and count(changed, "ReduceL2") == 0
    same_outputs(model, changed, {"x": X, "axes": ints(1)})


def refusal(nodes, shape="N, 3, 4", keep_shapes=True, **constants):
    text = f'g (float[{shape}] x) => (float[A, B, C] y) {{ {nodes} y = Einsum<equation = "...,->...">(a, unit) }}'
    model = parse(text, unit=scalar(1), **constants)
    if not keep_shapes:
        del model.graph.value_info[:]
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenReduction(), model)
    assert refused.value.node == "here"
    return refused.value.reason, refused.value.way_out


def test_a_tree_along_an_axis_of_unknown_size_is_refused():
    for nodes in ("[here] a = ReduceMax(x, axes)", "[here] a = ReduceProd(x)"):
        reason, way_out = refusal(nodes, axes=ints(0, 2))
        assert reason == "the size of axis 0, which it reduces, is not known"
        assert way_out == "export the model with a fixed size or use granularity composite"


def test_a_tree_along_an_axis_of_no_elements_is_refused():
    reason, way_out = refusal("[here] a = ReduceMin(x, axes)", "N, 0, 4", axes=ints(1))
    assert reason == "axis 1, which it reduces, has no elements"
    assert way_out == "reduce an axis that has elements"


def test_a_tree_along_computed_axes_is_refused():
    nodes = "s = Size(x) o = Div(s, s) i = Reshape(o, one) [here] a = ReduceMin(x, i)"
    reason, way_out = refusal(nodes, one=ints(1))
    assert reason == "its axes are computed"
    assert way_out == "export the model with constant axes or use granularity composite"


def test_a_tree_of_unknown_rank_is_refused():
    reason, way_out = refusal("n = Neg(x) [here] a = ReduceMax(n, axes)", keep_shapes=False, axes=ints(1))
    assert reason == "its rank is unknown"
    assert way_out == "export the model with shapes or use granularity composite"


def test_linear_reductions_and_readouts_stay():
    text = """g (float[N, 4] x) => (float[N, 1] y) {
      m = ReduceMean(x, axes) s = ReduceSum(x, axes) a = Add(m, s) b = MatMul(a, w) y = ReduceMax(b, axes) }"""
    model, record = run_pass(OpenReduction(), parse(text, w=normal(1, 4), axes=ints(1)))
    assert record.rewrote == [] and reasons(record) == {}
    assert operators(model) == ["Add", "MatMul", "ReduceMax", "ReduceMean", "ReduceSum"]


def test_the_shapes_of_a_tree_are_inferred():
    model, _ = opened(OpenReduction(), "ReduceMax<keepdims = 0>(x, axes)", normal(2, 5, 3), axes=ints(1))
    onnx.checker.check_model(model, full_check=True)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim][1:] for i in model.graph.value_info}
    assert shapes["op/axis1/0"] == [2, 3] and shapes["op/axis1/0/joined"] == [3, 3] and shapes["a"] == [3]
