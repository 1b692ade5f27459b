"""Geometry of sliding windows: padding, output extents, and reductions over windows of any shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain

import torch
from torch.nn import functional

from spikec.runtime.torch_ops.common import Attrs, along

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """Sliding window of a convolution or pooling; one entry per spatial axis in every tuple."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    given_pads: tuple[int, ...]
    auto_pad: str
    ceil: bool

    @property
    def extents(self) -> tuple[int, ...]:
        """Elements from the first to the last one that a window touches."""
        return tuple((size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True))

    def pads(self, sizes: Sequence[int]) -> Pads:
        """(begin, end) padding of each axis for spatial extents `sizes`."""
        if self.auto_pad.startswith("SAME"):
            rows = zip(sizes, self.extents, self.strides, strict=True)
            totals = [max(0, (-(-size // stride) - 1) * stride + extent - size) for size, extent, stride in rows]
            return split_padding(totals, extra_at_end=self.auto_pad == "SAME_UPPER")
        rank = len(self.kernel)
        if self.auto_pad == "VALID" or not self.given_pads:
            return ((0, 0),) * rank
        return tuple(zip(self.given_pads[:rank], self.given_pads[rank:], strict=True))

    def outputs(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Number of windows along each axis; a last window that would start in the end padding is left out."""
        rows = zip(sizes, self.pads(sizes), self.extents, self.strides, strict=True)
        return tuple(self._count(size, pads, extent, stride) for size, pads, extent, stride in rows)

    def _count(self, size: int, pads: tuple[int, int], extent: int, stride: int) -> int:
        room = size + sum(pads) - extent
        count = (-(-room // stride) if self.ceil else room // stride) + 1
        return count - 1 if self.ceil and (count - 1) * stride >= size + pads[0] else count


def window(attrs: Attrs, kernel: Sequence[int]) -> Window:
    """The window that the usual attributes describe, with `kernel` elements along each axis."""
    ones = (1,) * len(kernel)
    return Window(
        kernel=tuple(kernel),
        strides=tuple(attrs.get("strides", ones)),
        dilations=tuple(attrs.get("dilations", ones)),
        given_pads=tuple(attrs.get("pads", ())),
        auto_pad=attrs.get("auto_pad", "NOTSET"),
        ceil=bool(attrs.get("ceil_mode", 0)),
    )


def split_padding(totals: Sequence[int], extra_at_end: bool) -> Pads:
    """Each total split in two; of an odd one the larger half goes to the end or to the beginning."""
    halves = [(total // 2, total - total // 2) for total in totals]
    return tuple(halves if extra_at_end else [half[::-1] for half in halves])


def symmetric(pads: Pads) -> bool:
    """Whether every axis is padded alike at both ends."""
    return all(begin == end for begin, end in pads)


def padded(tensor: torch.Tensor, pads: Pads, value: float = 0.0) -> torch.Tensor:
    """`tensor` with its last axes padded by `value`, cropped where an amount is negative."""
    if not any(chain.from_iterable(pads)):
        return tensor
    return functional.pad(tensor, list(chain.from_iterable(reversed(pads))), value=value)


def over_windows(
    tensor: torch.Tensor,
    shape: Window,
    combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    fill: float,
) -> torch.Tensor:
    """Combine the elements of every window over the axes after the second, padding with `fill`.

    `combine` is associative and commutative, so the axes are reduced one after the other. That
    covers dilations, uneven padding and any number of axes.
    """
    sizes = tensor.shape[2:]
    outputs = shape.outputs(sizes)
    rows = zip(sizes, shape.pads(sizes), shape.extents, shape.strides, outputs, strict=True)
    needed = [(begin, (out - 1) * step + extent - size - begin) for size, (begin, _), extent, step, out in rows]
    tensor = padded(tensor, tuple(needed), fill)
    for axis, (taps, dilation, stride, out) in enumerate(
        zip(shape.kernel, shape.dilations, shape.strides, outputs, strict=True), start=2
    ):
        span = (out - 1) * stride + 1
        starts = range(0, taps * dilation, dilation)
        tensor = reduce(combine, [tensor[along(axis, slice(start, start + span, stride))] for start in starts])
    return tensor
