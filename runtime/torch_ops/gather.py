"""Operators that pick or set elements by computed positions; negative positions count from the end."""

import torch
from onnx import NodeProto

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, ints, plain, refuse

Tensor = torch.Tensor


def _gather(attrs: Attrs, node: NodeProto) -> Kernel:
    """Gather: indices of any shape take the place of `axis`."""
    axis = attrs.get("axis", 0)

    def kernel(x: Tensor, indices: Tensor) -> Tensor:
        dim = axis % x.dim()
        picked = x[(slice(None),) * dim + (indices.reshape(-1).long(),)]
        return picked.reshape(x.shape[:dim] + indices.shape + x.shape[dim + 1 :])

    return kernel


def _upwards(indices: Tensor, size: int) -> Tensor:
    return torch.where(indices < 0, indices + size, indices).long()


def _gather_elements(attrs: Attrs, node: NodeProto) -> Kernel:
    axis = attrs.get("axis", 0)
    return lambda x, indices: torch.gather(x, axis, _upwards(indices, x.shape[axis]))


def _gather_nd(attrs: Attrs, node: NodeProto) -> Kernel:
    """GatherND: the last axis of the indices addresses the axes after the `batch_dims` leading ones."""
    batch = attrs.get("batch_dims", 0)

    def kernel(x: Tensor, indices: Tensor) -> Tensor:
        depth, leading = indices.shape[-1], x.shape[:batch]
        rows = leading.numel()
        flat = indices.reshape(rows, -1, depth).long()
        row = torch.arange(rows, device=x.device).unsqueeze(1)
        picked = x.reshape(rows, *x.shape[batch:])[(row, *flat.unbind(-1))]
        return picked.reshape(indices.shape[:-1] + x.shape[batch + depth :])

    return kernel


def _scatter_nd(attrs: Attrs, node: NodeProto) -> Kernel:
    """ScatterND: a copy of the data with slices set, or added to, at the indexed positions."""
    reduction = attrs.get("reduction", "none")
    if reduction not in ("none", "add"):
        refuse(node, f"reduction {reduction!r}", "use none or add")

    def kernel(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        return x.index_put(tuple(indices.long().unbind(-1)), updates, accumulate=reduction == "add")

    return kernel


def _scatter_elements(attrs: Attrs, node: NodeProto) -> Kernel:
    """ScatterElements: a copy of the data with single elements set, or added to, along `axis`."""
    axis, reduction = attrs.get("axis", 0), attrs.get("reduction", "none")
    if reduction not in ("none", "add"):
        refuse(node, f"reduction {reduction!r}", "use none or add")

    def kernel(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
        scatter = x.scatter_add if reduction == "add" else x.scatter
        return scatter(axis, _upwards(indices, x.shape[axis]), updates)

    return kernel


def _one_hot(attrs: Attrs, node: NodeProto) -> Kernel:
    """OneHot: a new axis of extent `depth`; indices outside of it give the off value everywhere."""
    axis = attrs.get("axis", -1)

    def kernel(indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
        size = ints(depth)[0]
        position = _upwards(indices, size).unsqueeze(axis)
        after = indices.dim() - axis % (indices.dim() + 1)
        classes = torch.arange(size, device=indices.device).reshape(size, *[1] * after)
        return torch.where(position == classes, values[1], values[0])

    return kernel


def _non_zero(x: Tensor) -> Tensor:
    return x.nonzero().t()


OPS: dict[str, Builder] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "ScatterElements": _scatter_elements,
    "OneHot": _one_hot,
    "NonZero": plain(_non_zero),
}
