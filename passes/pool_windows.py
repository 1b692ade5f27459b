"""Which elements the windows of a pooling operator read along each axis (ONNX operators MaxPool and LpPool)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.passes.opening import Opening


class EmptyWindow(Exception):
    """A window that lies wholly in the padding: its maximum is that of nothing."""


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a pooling: ``size`` elements, ``before`` and ``after`` of padding."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def extent(self) -> int:
        """Elements from the first to the last that a window spans."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, ceil_mode: bool) -> int:
        """Number of windows; with ``ceil_mode`` a last one may hang over, but has to start before the end padding."""
        steps = (self.size + self.before + self.after - self.extent) / self.stride
        count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
        if ceil_mode and (count - 1) * self.stride >= self.size + self.before:
            count -= 1
        return count

    def indices(self, ceil_mode: bool) -> np.ndarray:
        """Indices (kernel, outputs) into the axis; positions in the padding repeat a valid one of the same window.

        Raises:
            EmptyWindow: there is no valid one.
        """
        starts = np.arange(self.outputs(ceil_mode)) * self.stride - self.before
        positions = starts + self.dilation * np.arange(self.kernel)[:, None]
        valid = (positions >= 0) & (positions < self.size)
        if not valid.any(axis=0).all():
            raise EmptyWindow
        first_valid = np.take_along_axis(positions, valid.argmax(axis=0)[None], axis=0)
        return np.where(valid, positions, first_valid)

    def end_padding(self, ceil_mode: bool) -> int:
        """The padding behind the axis with which no window hangs over."""
        return max(self.after, (self.outputs(ceil_mode) - 1) * self.stride + self.extent - self.size - self.before)


def spatial_size(opening: Opening) -> list[int]:
    """The sizes of the spatial axes that a pooling reads.

    Raises:
        UnsupportedNode: one is not known, or onnxruntime would pad otherwise than these windows are.
    """
    shape, attrs = opening.x.shape, opening.node.attrs
    spatial = list(shape[2:]) if shape else []
    if not spatial or not all(isinstance(size, int) for size in spatial):
        way_out = "use granularity composite or export with a fixed size"
        opening.refuse("its spatial size is not known", way_out)
    if attrs.get("auto_pad", "").startswith("SAME") and any(d > 1 for d in attrs.get("dilations", [])):
        reason = "onnxruntime pads dilated windows otherwise than ONNX says for auto_pad SAME"
        opening.refuse(reason, "export it with pads in numbers")
    return spatial


def explicit_pads(spatial: Sequence[int], attrs: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Padding before and behind each spatial axis with which every window of the pooling is whole."""
    axes, ceil_mode = _axes(spatial, attrs), bool(attrs.get("ceil_mode", 0))
    return [axis.before for axis in axes], [axis.end_padding(ceil_mode) for axis in axes]


def window_indices(spatial: Sequence[int], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    """For each spatial axis the indices (kernel, outputs) that the windows of a MaxPool with ``attrs`` read."""
    ceil_mode = bool(attrs.get("ceil_mode", 0))
    return [axis.indices(ceil_mode) for axis in _axes(spatial, attrs)]


def _axes(spatial: Sequence[int], attrs: Mapping[str, Any]) -> list[Axis]:
    rank = len(spatial)
    kernel = [int(k) for k in attrs["kernel_shape"]]
    strides = [int(s) for s in attrs.get("strides", [1] * rank)]
    dilations = [int(d) for d in attrs.get("dilations", [1] * rank)]
    pads = [int(p) for p in attrs.get("pads", [0] * 2 * rank)]
    auto_pad = attrs.get("auto_pad", "NOTSET")
    axes = []
    for i, size in enumerate(spatial):
        before, after = pads[i], pads[rank + i]
        if auto_pad.startswith("SAME"):
            before, after = _same(size, kernel[i], strides[i], dilations[i], upper=auto_pad == "SAME_UPPER")
        elif auto_pad == "VALID":
            before = after = 0
        axes.append(Axis(size, kernel[i], strides[i], dilations[i], before, after))
    return axes


def _same(size: int, kernel: int, stride: int, dilation: int, *, upper: bool) -> tuple[int, int]:
    outputs = math.ceil(size / stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)
