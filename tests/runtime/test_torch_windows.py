"""Convolutions and poolings over their attributes, against onnxruntime."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

SAME = ("SAME_UPPER", "SAME_LOWER")
QUICK = settings(deadline=None, max_examples=60, derandomize=True)
Agree = Callable[..., None]


def per_axis(rank: int, low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=rank, max_size=rank)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> tuple[list[int], dict[str, Any]]:
    """Spatial extents that a drawn window fits in, and the window's attributes."""
    rank = draw(st.integers(1, 3))
    padding = draw(st.sampled_from(["explicit", "explicit", "VALID", *SAME]))
    dilated = dilated and padding not in SAME  # onnxruntime refuses that, or pads too little
    kernel = draw(per_axis(rank, 1, 4 if rank < 3 else 2))
    attrs = {"kernel_shape": kernel, "strides": draw(per_axis(rank, 1, 3))}
    attrs["dilations"] = draw(per_axis(rank, 1, 2)) if dilated and draw(st.booleans()) else [1] * rank
    extents = [(size - 1) * step + 1 for size, step in zip(kernel, attrs["dilations"], strict=True)]
    sizes = [extent + extra for extent, extra in zip(extents, draw(per_axis(rank, 0, 5)), strict=True)]
    if padding == "explicit":
        attrs["pads"] = [draw(st.integers(0, size - 1)) for size in kernel * 2]
    else:
        attrs["auto_pad"] = padding
    return sizes, attrs


@st.composite
def pools(draw: st.DrawFn, dilated: bool = True) -> tuple[list[int], dict[str, Any]]:
    """Windows on which onnxruntime's poolings agree with the padding of its convolutions."""
    sizes, attrs = draw(windows(dilated))
    if attrs.get("auto_pad") in SAME:  # it takes a stride wider than the window for negative padding
        attrs["strides"] = [min(pair) for pair in zip(attrs["strides"], attrs["kernel_shape"], strict=True)]
    return sizes, attrs


@QUICK
@given(windows(), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_conv(agree: Agree, window: tuple, group: int, channels: int, bias: bool) -> None:
    sizes, attrs = window
    weight = random(group * 2, channels, *attrs["kernel_shape"])
    agree("Conv", [random(2, group * channels, *sizes), weight, random(group * 2) if bias else None][: 2 + bias],
          group=group, **attrs)  # fmt: skip


@QUICK
@given(windows(), st.integers(1, 3), st.integers(1, 2), st.data())
def test_conv_transpose(agree: Agree, window: tuple, group: int, channels: int, data: st.DataObject) -> None:
    sizes, attrs = window
    kernel, strides = attrs["kernel_shape"], attrs["strides"]
    attrs["output_padding"] = [data.draw(st.integers(0, stride - 1)) for stride in strides]
    if data.draw(st.booleans()) and "pads" not in attrs:
        rows = zip(sizes, strides, kernel, attrs["dilations"], strict=True)
        full = [(size - 1) * stride + (taps - 1) * dilation + 1 for size, stride, taps, dilation in rows]
        attrs["output_shape"] = [max(1, size - data.draw(st.integers(0, 3))) for size in full]
    weight = random(group * channels, 2, *kernel)
    agree("ConvTranspose", [random(1, group * channels, *sizes), weight, random(group * 2)], group=group, **attrs)


@QUICK
@given(pools(), st.integers(0, 1))
def test_max_pool(agree: Agree, window: tuple, ceil_mode: int) -> None:
    sizes, attrs = window
    agree("MaxPool", [random(1, 2, *sizes)], ceil_mode=ceil_mode, **attrs)


@QUICK
@given(pools(), st.integers(0, 1), st.integers(0, 1))
def test_average_pool(agree: Agree, window: tuple, ceil_mode: int, count_include_pad: int) -> None:
    sizes, attrs = window
    agree("AveragePool", [random(1, 2, *sizes)], ceil_mode=ceil_mode, count_include_pad=count_include_pad, **attrs)


@QUICK
@given(pools(dilated=False), st.integers(1, 3))
def test_lp_pool(agree: Agree, window: tuple, p: int) -> None:
    sizes, attrs = window
    agree("LpPool", [random(1, 2, *sizes)], p=p, **attrs)
