"""Transposed convolution."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, refuse
from spikec.runtime.torch_ops.windows import Pads, padded, split_padding, window

_CONVOLUTIONS = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


class _Geometry(NamedTuple):
    """How to get the asked output out of the unpadded one."""

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    crop: Pads  # elements to add to the unpadded output at (begin, end) of each axis, negative to cut
    native: tuple[list[int], list[int]] | None  # (padding, output padding) where torch can do the cutting itself


def _geometry(attrs: Attrs, sizes: Sequence[int], kernel: Sequence[int]) -> _Geometry:
    shape = window(attrs, kernel)
    extra = tuple(attrs.get("output_padding", (0,) * len(kernel)))
    full = [(size - 1) * step + extent for size, step, extent in zip(sizes, shape.strides, shape.extents, strict=True)]
    largest = [length + more for length, more in zip(full, extra, strict=True)]
    wanted = _asked_outputs(attrs, sizes, shape.strides, largest)
    if wanted is None:
        pads = shape.pads(sizes)
        wanted = [top - begin - end for top, (begin, end) in zip(largest, pads, strict=True)]
    else:
        totals = [max(0, top - out) for top, out in zip(largest, wanted, strict=True)]
        pads = split_padding(totals, extra_at_end=shape.auto_pad == "SAME_UPPER")
    begins = [begin for begin, _ in pads]
    rest = [out - (length - begin) for out, length, begin in zip(wanted, full, begins, strict=True)]
    crop = tuple((-begin, end) for begin, end in zip(begins, rest, strict=True))
    return _Geometry(shape.strides, shape.dilations, crop, _native(begins, rest, shape.strides, shape.dilations))


def _asked_outputs(
    attrs: Attrs, sizes: Sequence[int], strides: Sequence[int], largest: Sequence[int]
) -> list[int] | None:
    """Output extents where the attributes fix them (they may be given with the batch and channel ones)."""
    if "output_shape" in attrs:
        return list(attrs["output_shape"])[-len(sizes) :]
    if attrs.get("auto_pad", "NOTSET").startswith("SAME"):
        return [min(size * stride, top) for size, stride, top in zip(sizes, strides, largest, strict=True)]
    return None


def _native(
    begins: Sequence[int], rest: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]] | None:
    more = [begin + end for begin, end in zip(begins, rest, strict=True)]
    limits = [max(pair) for pair in zip(strides, dilations, strict=True)]
    return (list(begins), more) if all(0 <= m < top for m, top in zip(more, limits, strict=True)) else None


def _conv_transpose(attrs: Attrs, node: NodeProto) -> Kernel:
    """ConvTranspose: input (N, C, *sizes), weight (C, M/group, *kernel), optional bias (M)."""
    group = attrs.get("group", 1)

    @lru_cache(maxsize=16)
    def geometry(sizes: torch.Size, kernel: torch.Size) -> _Geometry:
        if len(kernel) not in _CONVOLUTIONS:
            refuse(node, f"transposed convolution over {len(kernel)} axes", "use 1 to 3 spatial axes")
        return _geometry(attrs, sizes, kernel)

    def kernel(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        plan = geometry(x.shape[2:], weight.shape[2:])
        convolve = _CONVOLUTIONS[len(plan.strides)]
        if plan.native is not None:
            return convolve(x, weight, bias, plan.strides, *plan.native, group, plan.dilations)
        y = padded(convolve(x, weight, None, plan.strides, 0, 0, group, plan.dilations), plan.crop)
        # The bias comes last: it also belongs where no input reaches.
        return y if bias is None else y + bias.reshape(-1, *[1] * len(plan.strides))

    return kernel


OPS: dict[str, Builder] = {"ConvTranspose": _conv_transpose}
