import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.passes import OpenLayerNorm, UnsupportedNode
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, reasons, run_pass, same_outputs
from tests.models.opened import kinds, opened

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
