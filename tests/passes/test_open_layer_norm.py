import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.passes import OpenLayerNorm, UnsupportedNode
from spikec.passes.graph_io import import_graph
from spikec.passes.norm_rows import NormRows
from spikec.shape_inference import infer_shapes
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, reasons, run_pass, same_outputs
from tests.models.opened import kinds, opened, operator_model

X = {"x": normal(2, 3, 4) * 3 + 1}
W = normal(4, 5, seed=9)


def model_of(norm, shape="N, 3, 4", **parameters):
    return parse(f"g (float[{shape}] x) => (float[N, A, B] y) {{ {norm} y = MatMul(a, w) }}", w=W, **parameters)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (4,)), (2, (4,)), (-2, (3, 4)), (1, (3, 4))])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_opened_along_any_axes(axis, shape, bias, epsilon):
    inputs = "x, s, b" if bias else "x, s"
    norm = f"[norm] a = LayerNormalization<axis = {axis}, epsilon = {epsilon}>({inputs})"
    model = model_of(norm, s=normal(*shape, seed=1), b=normal(*shape, seed=2))
    opened, record = keeps_outputs(OpenLayerNorm(), model, X)
    assert record.rewrote == ["norm"]
    assert count(opened, "LayerNormalization") == 0
    assert count(opened, "Add") == (2 if bias else 1), "epsilon, and the bias where there is one"


def test_nodes_are_named_after_the_norm_and_the_output_keeps_its_name():
    opened, _ = run_pass(OpenLayerNorm(), model_of("[norm] a = LayerNormalization(x, s)", s=normal(4)))
    *inside, last = opened.graph.node
    assert all(node.name.startswith("norm/") for node in inside)
    assert last.input[0] == "a"


def test_an_input_left_out_by_an_empty_name():
    model, named = (model_of("[norm] a = LayerNormalization(x, s)", s=normal(4)) for _ in range(2))
    named.graph.node[0].input.append("")  # onnxruntime crashes on it
    opened, _ = run_pass(OpenLayerNorm(), named)
    assert count(opened, "Add") == 1
    same_outputs(model, opened, X)


def unknown_rank(axis):
    """A norm of a tensor whose shape nobody noted."""
    model = model_of(f"n = Neg(x) [norm] a = LayerNormalization<axis = {axis}>(n, s)", s=normal(4))
    del model.graph.value_info[:]
    return model


def test_an_axis_that_counts_from_the_back_needs_no_rank():
    opened, _ = keeps_outputs(OpenLayerNorm(), unknown_rank(-1), X)
    assert count(opened, "LayerNormalization") == 0


def test_an_axis_that_counts_from_the_front_is_refused_where_the_rank_is_unknown():
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenLayerNorm(), unknown_rank(2))
    assert (refused.value.node, refused.value.reason) == ("norm", "its rank is unknown")
    assert refused.value.way_out == "export the model with shapes or use granularity composite"


def test_a_norm_whose_mean_is_used_is_skipped_with_the_reason():
    norm = "[norm] n, mean = LayerNormalization(x, s) a = Add(n, mean)"
    opened, record = run_pass(OpenLayerNorm(), model_of(norm, s=normal(4)))
    assert reasons(record) == {"norm": "more than its first output is used"}
    assert count(opened, "LayerNormalization") == 1


@pytest.mark.parametrize("outputs", ["a, mean", "a, , deviation"])
def test_outputs_that_nobody_takes_do_not_matter(outputs):
    model = model_of(f"[norm] {outputs} = LayerNormalization(x, s)", s=normal(4))
    opened, _ = keeps_outputs(OpenLayerNorm(), model, X)
    assert count(opened, "LayerNormalization") == 0


def test_a_norm_that_is_readout_stays():
    text = "g (float[N, 3, 4] x) => (float[N, 3, 5] y) { a = MatMul(x, w) [norm] y = LayerNormalization(a, s) }"
    opened, record = keeps_outputs(OpenLayerNorm(), parse(text, w=W, s=normal(5)), X)
    assert record.rewrote == []
    assert operators(opened) == ["LayerNormalization", "MatMul"]


def test_the_maximum_keeps_the_root_defined_for_negative_estimates_of_the_variance():
    opened, _ = run_pass(OpenLayerNorm(), model_of("[norm] a = LayerNormalization(x, s)", s=normal(4)))
    root = next(node for node in opened.graph.node if node.op_type == "Sqrt")
    shifted = next(node for node in opened.graph.node if node.output[0] == root.input[0])
    positive = next(node for node in opened.graph.node if node.output[0] == shifted.input[0])
    assert positive.op_type == "Max"
    zero = next(onnx.numpy_helper.to_array(t) for t in opened.graph.initializer if t.name == positive.input[1])
    assert zero == np.float32(0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_rms_normalization_along_any_axes(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    scale = normal(*shape[axis % len(shape) :], seed=1)
    epsilon = data.draw(st.sampled_from([1e-5, 0.5]))
    opened(OpenLayerNorm(), f"RMSNormalization<axis = {axis}, epsilon = {epsilon}>(x, s)", normal(*shape), 23, s=scale)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_mean_variance_normalization_along_any_axes(data):
    axes = data.draw(st.sets(st.integers(0, 3), min_size=1))
    opened(OpenLayerNorm(), f"MeanVarianceNormalization<axes = {sorted(axes)}>(x)", normal(3, 2, 4, 5) * 3 + 1)


def test_mean_variance_normalization_is_per_channel_where_no_axes_are_given():
    opened(OpenLayerNorm(), "MeanVarianceNormalization(x)", normal(3, 2, 4, 5) * 3 + 1)


def test_neurons_of_its_kin():
    expected = [("Div", "binary"), ("Max", "unary"), ("Mul", "unary"), ("Sqrt", "unary")]
    x = normal(2, 3, 4, 5)
    assert kinds(opened(OpenLayerNorm(), "RMSNormalization(x, s)", x, 23, s=normal(5))[0]) == expected
    assert kinds(opened(OpenLayerNorm(), "MeanVarianceNormalization(x)", x)[0]) == expected


@pytest.mark.parametrize(("axis", "shape"), [(-1, (4,)), (2, (4,)), (-2, (3, 4)), (1, (3, 4))])
@pytest.mark.parametrize("norm", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_uneven_rows_along_any_axes(axis, shape, norm, epsilon):
    call = f"{norm}<axis = {axis}, epsilon = {epsilon}>(x, s)"
    x = X["x"] * np.array([1e-2, 1, 100], np.float32)[:, None]
    model, _ = opened(OpenLayerNorm({"op"}), call, x, 23, s=normal(*shape, seed=1))
    ends = [("Exp", "unary"), ("Mul", "binary"), ("Mul", "binary")]  # the first level, and exp(-L/2) * x
    if len(shape) == 1:
        assert kinds(model) == [*ends, ("Softplus", "unary")]
    else:  # one of three has no partner on the first level, and a square and a logarithm of its own
        lone = [("Log", "unary"), ("Mul", "unary")]
        assert kinds(model) == sorted([*ends, *lone, *[("Softplus", "unary")] * 3])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_uneven_rows_of_any_size(shape):
    x = normal(2, *shape) * 3 + 1
    opened(OpenLayerNorm({"op"}), "LayerNormalization<axis = 1>(x, s)", x, s=normal(*shape, seed=1))


@pytest.mark.parametrize("reason", ["not asked for", "unknown size", "no epsilon"])
def test_where_rows_have_no_tree_their_squares_are_summed(reason):
    dims = "N, 3, M" if reason == "unknown size" else ""
    epsilon = ", epsilon = 0.0" if reason == "no epsilon" else ""
    model = operator_model(f"LayerNormalization<axis = -1{epsilon}>(x, s)", X["x"], dims=dims, s=normal(4))
    changed, _ = keeps_outputs(OpenLayerNorm(() if reason == "not asked for" else {"op"}), model, X)
    assert count(changed, "ReduceMean") == 2 and count(changed, "Sqrt") == 1


def test_rows_are_what_has_to_be_measured():
    text = """g (float[N, 3, 4] x) => (float[N, 3, 5] y) { n = Neg(x)
      [one] a = LayerNormalization(n, s) [two] b = LayerNormalization<axis = 1, epsilon = 0.5>(a, t)
      [three] c = RMSNormalization(b, s) y = MatMul(c, w) }"""
    graph = import_graph(infer_shapes(parse(text, 23, w=W, s=normal(4), t=normal(3, 4))))
    assert OpenLayerNorm().rows(graph) == {
        "one": NormRows("n", (-1,), pytest.approx(1e-5)),
        "two": NormRows("a", (1, 2), 0.5),
        "three": NormRows("b", (-1,), pytest.approx(1e-5), centred=False),
    }
