import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from spikec.passes import OpenLpPool, UnsupportedNode
from spikec.passes.pool_windows import Axis
from tests.models.graphs import count, normal, parse, run_pass, same_outputs, scalar
from tests.models.opened import kinds, opened, operator_model

IMAGE = normal(2, 3, 7, 6)


@pytest.mark.parametrize(
    "attributes",
    [
        "kernel_shape = [2, 2], strides = [2, 2]",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
        "kernel_shape = [3, 2], strides = [1, 3], pads = [0, 1, 2, 0]",
        "kernel_shape = [2, 3], dilations = [3, 2]",
        "kernel_shape = [2, 2], dilations = [1, 2], pads = [1, 1, 1, 1]",
        "kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1",
        "kernel_shape = [3, 3], strides = [3, 3], pads = [1, 1, 1, 1], ceil_mode = 1",
        'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"',
        'kernel_shape = [2, 2], auto_pad = "SAME_LOWER"',
        'kernel_shape = [2, 2], strides = [3, 1], auto_pad = "VALID"',
        "kernel_shape = [1, 1]",
        "kernel_shape = [7, 6]",
    ],
)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool(attributes, p):
    opened(OpenLpPool(), f"LpPool<p = {p}, {attributes}>(x)", IMAGE)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_one_axis_with_any_padding(size, kernel, stride, before, after, ceil_mode):
    assume(before < kernel and after < kernel)  # else onnxruntime refuses it
    assume(Axis(size, kernel, stride, 1, before, after).outputs(ceil_mode) > 0)
    settings_ = f"kernel_shape = [{kernel}], strides = [{stride}], pads = [{before}, {after}]"
    opened(OpenLpPool(), f"LpPool<{settings_}, ceil_mode = {int(ceil_mode)}>(x)", normal(2, 3, size))


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)])
def test_global_lp_pool(shape, p):
    opened(OpenLpPool(), f"GlobalLpPool<p = {p}>(x)", normal(*shape))


def test_the_second_norm_where_none_is_given():
    for call in ("GlobalLpPool(x)", "LpPool<kernel_shape = [2, 2]>(x)"):
        assert kinds(opened(OpenLpPool(), call, IMAGE)[0]) == [("Max", "unary"), ("Mul", "unary"), ("Sqrt", "unary")]


def test_neurons_of_other_norms():
    first, third = (opened(OpenLpPool(), f"LpPool<p = {p}, kernel_shape = [2, 2]>(x)", IMAGE)[0] for p in (1, 3))
    assert kinds(first) == [("Abs", "unary")]
    assert kinds(third) == [("Abs", "unary"), ("Max", "unary"), ("Pow", "unary"), ("Pow", "unary")]


def refusal(model):
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenLpPool(), model)
    assert refused.value.node == "op"
    return refused.value.reason, refused.value.way_out


def test_refused_where_the_spatial_size_is_not_known():
    model = operator_model("LpPool<kernel_shape = [2, 2]>(x)", IMAGE, dims="N, 3, H, 6")
    reason, way_out = refusal(model)
    assert reason == "its spatial size is not known"
    assert way_out == "use granularity composite or export with a fixed size"


def test_refused_where_onnxruntime_and_onnx_disagree():
    call = 'LpPool<kernel_shape = [2, 2], dilations = [1, 2], auto_pad = "SAME_UPPER">(x)'
    reason, way_out = refusal(operator_model(call, IMAGE))
    assert reason == "onnxruntime pads dilated windows otherwise than ONNX says for auto_pad SAME"
    assert way_out == "export it with pads in numbers"


def test_a_global_pooling_needs_its_rank_and_no_size():
    model = operator_model("GlobalLpPool(x)", IMAGE, dims="N, 3, H, W")
    changed, _ = run_pass(OpenLpPool(), model)
    same_outputs(model, changed, {"x": IMAGE})
    text = """g (float[N, 3, 4] x) => (float[N, 3, 1] y) {
      n = Neg(x) [op] a = GlobalLpPool(n) y = Einsum<equation = "...,->...">(a, unit) }"""
    unknown = parse(text, unit=scalar(1))
    del unknown.graph.value_info[:]
    assert refusal(unknown)[0] == "its rank is unknown"


def test_a_readout_stays():
    text = "g (float[N, 3, 7, 6] x) => (float[N, 2, 1, 1] y) { a = Conv(x, w) y = GlobalLpPool(a) }"
    model, record = run_pass(OpenLpPool(), parse(text, w=normal(2, 3, 1, 1)))
    assert record.rewrote == [] and count(model, "GlobalLpPool") == 1


def test_a_root_of_zero_is_zero():
    opened(OpenLpPool(), "LpPool<p = 3, kernel_shape = [2, 2]>(x)", np.zeros((1, 1, 4, 4), np.float32))
