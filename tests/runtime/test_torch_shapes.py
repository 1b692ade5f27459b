"""Selection, padding, reshaping, reduction and resizing over their attributes, against onnxruntime."""

from collections.abc import Callable
from math import prod

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

QUICK = settings(deadline=None, max_examples=60, derandomize=True)
Agree = Callable[..., None]
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
bounds = st.one_of(st.integers(-7, 7), st.sampled_from([2**63 - 1, -(2**63), 2**31 - 1, -(2**31)]))
REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def int64(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@st.composite
def some_axes(draw: st.DrawFn, rank: int) -> list[int]:
    """Distinct axes, each counted from either end."""
    axes = draw(st.lists(st.integers(0, rank - 1), unique=True, min_size=1))
    return [axis - rank * draw(st.booleans()) for axis in axes]


@QUICK
@given(shapes, st.data())
def test_slice(agree: Agree, shape: list[int], data: st.DataObject) -> None:
    axes = data.draw(some_axes(len(shape)))
    starts, ends = [[data.draw(bounds) for _ in axes] for _ in range(2)]
    # onnxruntime reads the largest integers as an open end even backwards, the standard (as numpy) as a bound.
    steps = [data.draw(st.sampled_from([1, 2, 3, 9] if end > 2**30 else [1, 3, -1, -2, -9])) for end in ends]
    agree("Slice", [random(*shape), int64(*starts), int64(*ends), int64(*axes), int64(*steps)])


@QUICK
@given(shapes, st.data(), st.sampled_from(["constant", "edge", "reflect", "wrap"]))
def test_pad(agree: Agree, shape: list[int], data: st.DataObject, mode: str) -> None:
    axes = data.draw(some_axes(len(shape)))
    begins = [data.draw(st.integers(-1, 3)) for _ in axes]
    ends = [data.draw(st.integers(-1, 3)) for _ in axes]
    for begin, end, axis in zip(begins, ends, axes, strict=True):
        left = shape[axis] + min(begin, 0) + min(end, 0)
        assume(left > 0 and (mode == "constant" or max(begin, end) < left))
    value = np.array(2.5, np.float32) if mode == "constant" and data.draw(st.booleans()) else None
    agree("Pad", [random(*shape), int64(*begins, *ends), value, int64(*axes)], mode=mode)


@QUICK
@given(shapes, st.data())
def test_gather(agree: Agree, shape: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    chosen = data.draw(st.lists(st.integers(-size, size - 1), min_size=4, max_size=4))
    indices = int64(*chosen).reshape(data.draw(st.sampled_from([(4,), (2, 2), (1, 4, 1)])))
    agree("Gather", [random(*shape), indices], axis=axis)


@QUICK
@given(st.sampled_from(REDUCTIONS), shapes, st.data(), st.integers(0, 1), st.integers(0, 1))
def test_reduce(agree: Agree, name: str, shape: list[int], data: st.DataObject, keep: int, inert: int) -> None:
    axes = int64(*data.draw(some_axes(len(shape)))) if data.draw(st.booleans()) else None
    values = np.abs(random(*shape)) + np.float32(0.5)
    arrays = [values] if axes is None else [values, axes]
    agree(f"Reduce{name}", arrays, keepdims=keep, noop_with_empty_axes=inert)


@QUICK
@given(shapes, st.data())
def test_reshape(agree: Agree, shape: list[int], data: st.DataObject) -> None:
    wanted = data.draw(st.permutations(shape))
    split = data.draw(st.integers(0, len(wanted)))
    wanted = [*wanted[:split], prod(wanted[split:])]
    if data.draw(st.booleans()):
        wanted[data.draw(st.integers(0, len(wanted) - 1))] = -1
    copied = [0 if position < len(shape) and size == shape[position] else size for position, size in enumerate(wanted)]
    agree("Reshape", [random(*shape), int64(*(copied if data.draw(st.booleans()) else wanted))])


@QUICK
@given(
    st.tuples(st.integers(2, 7), st.integers(2, 7)),
    st.tuples(st.integers(1, 15), st.integers(1, 15)),
    st.booleans(),
    st.sampled_from(["nearest", "linear", "cubic"]),
    st.sampled_from(["asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners"]),
    st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
)
def test_resize(
    agree: Agree, before: tuple, after: tuple, by_size: bool, mode: str, coordinates: str, rounding: str
) -> None:
    scales = [np.float32(new) / np.float32(old) for new, old in zip(after, before, strict=True)]
    target = [None, int64(1, 2, *after)] if by_size else [np.array([1, 1, *scales], np.float32)]
    options = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    agree("Resize", [random(1, 2, *before), None, *target], **options)
