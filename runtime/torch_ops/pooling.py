"""Pooling over windows and over whole feature maps; inputs are (N, C, *sizes)."""

from math import inf

import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.by_shape import by_shape
from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel
from spikec.runtime.torch_ops.windows import Window, over_windows, symmetric, window

_AVERAGES = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def _native_padding(shape: Window, x: torch.Tensor) -> list[int] | None:
    """Padding of each axis if torch's own pooling can express it, else None.

    In three dimensions torch forgets the padding when it compares a window with the size.
    """
    pads = shape.pads(x.shape[2:])
    small = all(2 * begin <= kernel for (begin, _), kernel in zip(pads, shape.kernel, strict=True))
    if len(pads) == 3:
        small &= all(size >= kernel for size, kernel in zip(x.shape[2:], shape.kernel, strict=True))
    usable = small and symmetric(pads) and x.is_floating_point() and len(pads) in _AVERAGES
    return [begin for begin, _ in pads] if usable else None


def _average_pool(attrs: Attrs, node: NodeProto) -> Kernel:
    """AveragePool; count_include_pad decides whether padding counts as elements of a window."""
    shape = window(attrs, attrs["kernel_shape"])
    counts_padding = bool(attrs.get("count_include_pad", 0))
    plain_windows = set(shape.dilations) == {1}

    @by_shape(16)
    def divisor(sizes: torch.Size, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        return _window_counts(shape, sizes, counts_padding).to(device, dtype)

    def kernel(x: torch.Tensor) -> torch.Tensor:
        padding = _native_padding(shape, x) if plain_windows else None
        if padding is not None:
            pool = _AVERAGES[len(padding)]
            return pool(x, shape.kernel, shape.strides, padding, shape.ceil, counts_padding)
        return over_windows(x, shape, torch.add, 0.0) / divisor(x.shape[2:], x.dtype, x.device)

    return kernel


def _window_counts(shape: Window, sizes: torch.Size, counts_padding: bool) -> torch.Tensor:
    """Number of elements each window averages over, of shape `outputs`."""
    total = torch.ones((), dtype=torch.int64)
    rows = zip(sizes, shape.pads(sizes), shape.outputs(sizes), strict=True)
    for axis, (size, (begin, end), out) in enumerate(rows):
        low, high = (-begin, size + end) if counts_padding else (0, size)
        starts = torch.arange(out).unsqueeze(1) * shape.strides[axis] - begin
        touched = starts + torch.arange(shape.kernel[axis]) * shape.dilations[axis]
        total = total.unsqueeze(-1) * ((touched >= low) & (touched < high)).sum(1)
    return total


def _max_pool(attrs: Attrs, node: NodeProto) -> Kernel:
    """MaxPool, its first output."""
    shape = window(attrs, attrs["kernel_shape"])

    def kernel(x: torch.Tensor) -> torch.Tensor:
        padding = _native_padding(shape, x)
        if padding is not None:
            pool = _MAXIMA[len(padding)]
            return pool(x, shape.kernel, shape.strides, padding, shape.dilations, shape.ceil)
        lowest = -inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        return over_windows(x, shape, torch.maximum, lowest)

    return kernel


def _lp_pool(attrs: Attrs, node: NodeProto) -> Kernel:
    """LpPool: the p-norm of every window."""
    shape = window(attrs, attrs["kernel_shape"])
    p = attrs.get("p", 2)
    return lambda x: over_windows(x.abs() ** p, shape, torch.add, 0.0) ** (1.0 / p)


def _spatial(x: torch.Tensor) -> list[int]:
    return list(range(2, x.dim()))


def _global_average_pool(attrs: Attrs, node: NodeProto) -> Kernel:
    return lambda x: x.mean(_spatial(x), keepdim=True)


def _global_max_pool(attrs: Attrs, node: NodeProto) -> Kernel:
    return lambda x: x.amax(_spatial(x), keepdim=True)


def _global_lp_pool(attrs: Attrs, node: NodeProto) -> Kernel:
    p = attrs.get("p", 2)
    return lambda x: (x.abs() ** p).sum(_spatial(x), keepdim=True) ** (1.0 / p)


OPS: dict[str, Builder] = {
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "LpPool": _lp_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "GlobalLpPool": _global_lp_pool,
}
