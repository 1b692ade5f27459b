"""Resize, one axis after the other, from the coordinate formulas of the standard."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import NodeProto

from spikec.runtime.torch_ops.by_shape import by_shape
from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, ints, number, refuse

Array = NDArray[np.floating]


class _Axis(NamedTuple):
    """One axis to resize: its extents, and the factor between them (given, or else their exact ratio)."""

    axis: int
    before: int
    after: int
    scale: float


class _Taps(NamedTuple):
    """For every output position, the input positions it mixes and their weights; both (taps, outputs)."""

    axis: int
    positions: torch.Tensor
    weights: torch.Tensor | None


def _asymmetric(axis: _Axis, x: Array) -> Array:
    return x / x.dtype.type(axis.scale)


def _half_pixel(axis: _Axis, x: Array) -> Array:
    half = x.dtype.type(0.5)
    return (x + half) / x.dtype.type(axis.scale) - half


def _half_pixel_symmetric(axis: _Axis, x: Array) -> Array:
    kind = x.dtype.type
    scale = kind(axis.scale)
    offset = kind(axis.before) / kind(2) * (kind(1) - kind(axis.after) / (scale * kind(axis.before)))
    # The sum is taken in float64 even for float32 coordinates, as onnxruntime takes it.
    return (float(offset) + (x.astype(np.float64) + 0.5) / float(scale) - 0.5).astype(x.dtype)


def _pytorch_half_pixel(axis: _Axis, x: Array) -> Array:
    return _half_pixel(axis, x) if axis.after > 1 else np.zeros_like(x)


def _align_corners(axis: _Axis, x: Array) -> Array:
    kind = x.dtype.type
    return x * kind(axis.before - 1) / kind(axis.after - 1) if axis.after > 1 else np.zeros_like(x)


_COORDINATES: dict[str, Callable[[_Axis, Array], Array]] = {
    "asymmetric": _asymmetric,
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
}
_TIE = 1e-6  # float32 coordinates this close to a half are meant to be one; onnxruntime has the same margin
_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5 - _TIE),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5 + _TIE),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _nearest(attrs: Attrs, axis: _Axis) -> _Taps:
    # Coordinates are float32 whatever the graph's type is: a coordinate next to a tie must select
    # the same element in every precision. The rounding itself is exact in float64.
    places = np.arange(axis.after, dtype=np.float32)
    x = _COORDINATES[attrs.get("coordinate_transformation_mode", "half_pixel")](axis, places)
    chosen = _ROUNDINGS[attrs.get("nearest_mode", "round_prefer_floor")](x.astype(np.float64))
    positions = np.clip(chosen, 0, axis.before - 1).astype(np.int64)
    return _Taps(axis.axis, torch.from_numpy(positions).unsqueeze(0), None)


def _interpolated(attrs: Attrs, axis: _Axis, cubic: bool) -> _Taps:
    places = np.arange(axis.after, dtype=np.float64)
    x = _COORDINATES[attrs.get("coordinate_transformation_mode", "half_pixel")](axis, places)
    floor = np.floor(x)
    offsets = np.arange(-1, 3) if cubic else np.arange(2)
    positions = floor + offsets[:, None]
    distance = np.abs(x - positions)
    weights = _cubic_weights(distance, number(attrs, "cubic_coeff_a", -0.75)) if cubic else 1.0 - distance
    if attrs.get("exclude_outside", 0):
        weights = np.where((positions < 0) | (positions >= axis.before), 0.0, weights)
        weights /= weights.sum(0)
    inside = np.clip(positions, 0, axis.before - 1).astype(np.int64)
    return _Taps(axis.axis, torch.from_numpy(inside), torch.from_numpy(weights))


def _cubic_weights(distance: Array, a: float) -> Array:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _taps(attrs: Attrs, axis: _Axis, mode: str) -> _Taps:
    return _nearest(attrs, axis) if mode == "nearest" else _interpolated(attrs, axis, mode == "cubic")


def _apply(x: torch.Tensor, taps: _Taps) -> torch.Tensor:
    if taps.weights is None:
        return x.index_select(taps.axis, taps.positions[0])
    after = [1] * (x.dim() - taps.axis - 1)
    parts = zip(taps.positions, taps.weights, strict=True)
    terms = [x.index_select(taps.axis, place) * weight.reshape(-1, *after) for place, weight in parts]
    return torch.stack(terms).sum(0).to(x.dtype)


def _axes(attrs: Attrs, shape: torch.Size, scales: Sequence[float], sizes: Sequence[int]) -> list[_Axis]:
    """The axes whose extent or scale changes. New extents are floored in float32, as the standard has it."""
    chosen = [axis % len(shape) for axis in attrs.get("axes", range(len(shape)))]
    rows = []
    for position, axis in enumerate(chosen):
        before = shape[axis]
        after = sizes[position] if sizes else int(np.floor(np.float32(before) * np.float32(scales[position])))
        scale = after / before if sizes else scales[position]
        rows.append(_Axis(axis, before, after, scale))
    return [row for row in rows if row.after != row.before or row.scale != 1]


def _check(attrs: Attrs, node: NodeProto) -> None:
    known = (
        ("mode", "nearest", ("nearest", "linear", "cubic")),
        ("coordinate_transformation_mode", "half_pixel", _COORDINATES),
        ("nearest_mode", "round_prefer_floor", _ROUNDINGS),
        ("keep_aspect_ratio_policy", "stretch", ("stretch",)),
        ("antialias", 0, (0,)),
    )
    for name, default, values in known:
        if attrs.get(name, default) not in values:
            refuse(node, f"{name}={attrs[name]!r}", f"use one of {sorted(map(str, values))}")


def _resize(attrs: Attrs, node: NodeProto) -> Kernel:
    """Resize (nearest, linear, cubic) to given scales or sizes, over all axes or those in `axes`."""
    _check(attrs, node)
    mode = attrs.get("mode", "nearest")

    @by_shape(16)
    def plan(shape: torch.Size, scales: tuple[float, ...], sizes: tuple[int, ...], device: torch.device) -> list[_Taps]:
        taps = [_taps(attrs, row, mode) for row in _axes(attrs, shape, scales, sizes)]
        return [_Taps(t.axis, t.positions.to(device), _weights(t, attrs.dtype, device)) for t in taps]

    def kernel(
        x: torch.Tensor,
        region: torch.Tensor | None = None,
        scales: torch.Tensor | None = None,
        sizes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        factors = () if scales is None else tuple(scales.tolist())
        for taps in plan(x.shape, factors, () if sizes is None else tuple(ints(sizes)), x.device):
            x = _apply(x, taps)
        return x

    return kernel


def _weights(taps: _Taps, dtype: torch.dtype, device: torch.device) -> torch.Tensor | None:
    return None if taps.weights is None else taps.weights.to(device, dtype)


OPS: dict[str, Builder] = {"Resize": _resize}
