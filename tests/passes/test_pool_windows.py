import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings
from onnx import helper

from spikec.errors import ModelError
from spikec.onnx_session import run_model
from spikec.passes.pool_windows import Axis, EmptyWindow, explicit_pads, window_indices
from tests.models.graphs import normal


def max_pool(x, attrs):
    """onnxruntime's MaxPool, or None where it refuses the attributes."""
    node = helper.make_node("MaxPool", ["x"], ["y"], **attrs)
    infos = [helper.make_tensor_value_info(name, 1, None) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "g", infos[:1], infos[1:]), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    try:
        return run_model(model, {"x": x})["y"]
    except ModelError:
        return None


def pooled(x, columns):
    for axis, indices in enumerate(columns, start=2):
        x = np.max([np.take(x, column, axis=axis) for column in indices], axis=0)
    return x


@st.composite
def poolings(draw):
    """A spatial shape of rank 1 or 2 and attributes of MaxPool."""
    rank = draw(st.integers(1, 2))
    numbers = lambda low, high: draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))  # noqa: E731
    attrs = {"kernel_shape": numbers(1, 4)}
    for name, value in (
        ("strides", numbers(1, 4)),
        ("dilations", numbers(1, 3)),
        ("ceil_mode", draw(st.integers(0, 1))),
    ):
        if draw(st.booleans()):
            attrs[name] = value
    auto_pad = draw(st.sampled_from([None, "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto_pad is not None:
        attrs["auto_pad"] = auto_pad
    if auto_pad in (None, "NOTSET") and draw(st.booleans()):
        attrs["pads"] = [draw(st.integers(0, k - 1)) for k in attrs["kernel_shape"] * 2]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        attrs.pop("dilations", None)  # onnxruntime differs from ONNX there, and OpenMaxPool refuses
    extents = [(k - 1) * d + 1 for k, d in zip(attrs["kernel_shape"], attrs.get("dilations", [1] * rank), strict=True)]
    least = [1 if "SAME" in (auto_pad or "") else e for e in extents]  # smaller, no window fits
    return [draw(st.integers(low, low + 8)) for low in least], attrs


@settings(max_examples=300, deadline=None)
@given(poolings())
def test_windows_are_those_of_onnxruntime(pooling):
    spatial, attrs = pooling
    x = normal(2, 3, *spatial) - 5  # below 0: padding must not win
    expected = max_pool(x, attrs)
    assume(expected is not None and expected.size)
    try:
        found = pooled(x, window_indices(spatial, attrs))
    except EmptyWindow:
        assert (expected <= np.finfo(np.float32).min).any()
        return
    np.testing.assert_array_equal(found, expected)


def test_the_usual_pooling_by_hand():
    (columns,) = window_indices([6], {"kernel_shape": [3], "strides": [2], "pads": [1, 1]})
    np.testing.assert_array_equal(columns, [[0, 1, 3], [0, 2, 4], [1, 3, 5]])


def test_ceil_mode_adds_a_window_that_hangs_over_unless_it_starts_in_the_padding():
    assert Axis(6, 3, 2, 1, 0, 0).outputs(ceil_mode=False) == 2
    assert Axis(6, 3, 2, 1, 0, 0).outputs(ceil_mode=True) == 3
    assert Axis(2, 2, 3, 1, 1, 1).outputs(ceil_mode=True) == 1


def test_a_window_wholly_in_the_padding_is_an_error():
    with pytest.raises(EmptyWindow):
        window_indices([2], {"kernel_shape": [2], "dilations": [3], "pads": [1, 1]})


def test_padding_with_which_every_window_is_whole():
    ceil = {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 0, 1]}
    assert explicit_pads([6, 4], ceil) == ([1, 0], [0, 1]), "windows fit on the first axis, one pads the second"
    assert explicit_pads([7, 5], ceil) == ([1, 0], [1, 1]), "the last window of the first hangs over by one"
    assert explicit_pads([7, 5], {**ceil, "ceil_mode": 0}) == ([1, 0], [0, 1])
    assert explicit_pads([5], {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_LOWER"}) == ([1], [1])
