"""Slice and Pad: parts of a tensor along its axes, and more than the tensor along them."""

from itertools import chain

import numpy as np
import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.by_shape import by_shape
from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, along, ints, plain, refuse

Tensor = torch.Tensor


def _slice(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    """Slice: bounds of any size are clamped; a negative step walks backwards."""
    first, last = ints(starts), ints(ends)
    dims = list(range(len(first))) if axes is None else ints(axes)
    strides = [1] * len(first) if steps is None else ints(steps)
    for start, end, dim, step in zip(first, last, dims, strides, strict=True):
        axis = dim % x.dim()
        x = _take(x, axis, _positions(start, end, step, x.shape[axis]))
    return x


def _positions(start: int, end: int, step: int, size: int) -> range:
    """Bounds as Python clamps them, except that a walk backwards begins no earlier than at the first element."""
    if step < 0:
        start = max(0, start + size if start < 0 else start)
    return range(*slice(start, end, step).indices(size))


def _take(x: Tensor, axis: int, chosen: range) -> Tensor:
    """Elements at the positions `chosen`; torch has no negative steps, so those are taken upwards and flipped."""
    if not chosen:
        return x.narrow(axis, 0, 0)
    if chosen.step > 0:
        return x[along(axis, slice(chosen.start, chosen[-1] + 1, chosen.step))]
    return x[along(axis, slice(chosen[-1], chosen.start + 1, -chosen.step))].flip(axis)


def _pad(attrs: Attrs, node: NodeProto) -> Kernel:
    """Pad, or crop where an amount is negative, in the modes constant, reflect, edge and wrap."""
    mode = attrs.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        refuse(node, f"mode {mode!r}", "use constant, reflect, edge or wrap")
    positions = by_shape(64)(_padded_positions)

    def kernel(x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        amounts = _amounts(ints(pads), list(range(x.dim())) if axes is None else ints(axes), x.dim())
        if mode == "constant":
            fill = 0 if value is None else value.item()
            return functional.pad(x, list(chain.from_iterable(reversed(amounts))), value=fill)
        for axis, (begin, end) in enumerate(amounts):
            if begin or end:
                x = x.index_select(axis, positions(x.shape[axis], begin, end, mode, x.device))
        return x

    return kernel


def _amounts(pads: list[int], axes: list[int], rank: int) -> list[tuple[int, int]]:
    """(begin, end) of every axis; ONNX gives all beginnings, then all ends, of the listed axes."""
    amounts = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        amounts[axis] = (pads[position], pads[position + len(axes)])
    return amounts


def _padded_positions(size: int, begin: int, end: int, mode: str, device: torch.device) -> Tensor:
    """Where each element of the padded axis comes from; cropping happens before padding."""
    kept = np.arange(max(0, -begin), size - max(0, -end))
    positions = np.pad(kept, (max(0, begin), max(0, end)), mode)  # type: ignore[call-overload]
    return torch.from_numpy(positions).to(device)


OPS: dict[str, Builder] = {"Slice": plain(_slice), "Pad": _pad}
