"""Operators that look along one axis: extreme positions, sorting, running sums, softmax."""

from collections.abc import Callable
from functools import partial

import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, ints


def _extreme(search: Callable[..., torch.Tensor]) -> Builder:
    """Builder of ArgMax and ArgMin; of several equal elements the first counts, or the last if asked."""

    def build(attrs: Attrs, node: NodeProto) -> Kernel:
        axis, keep = attrs.get("axis", 0), bool(attrs.get("keepdims", 1))
        if attrs.get("select_last_index", 0):
            return lambda x: x.shape[axis] - 1 - search(x.flip(axis), axis, keep)
        return lambda x: search(x, axis, keep)

    return build


def _top_k(attrs: Attrs, node: NodeProto) -> Kernel:
    """TopK: values and int64 indices, always sorted; equal values keep their order."""
    axis, largest = attrs.get("axis", -1), bool(attrs.get("largest", 1))

    def kernel(x: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, ...]:
        count = ints(k)[0]
        values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)

    return kernel


def _cum_sum(attrs: Attrs, node: NodeProto) -> Kernel:
    """CumSum along the axis given as an input, optionally exclusive, optionally from the end."""
    exclusive, reverse = attrs.get("exclusive", 0), attrs.get("reverse", 0)

    def kernel(x: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
        dim = ints(axis)[0]
        x = x.flip(dim) if reverse else x
        y = torch.cumsum(x, dim, dtype=x.dtype)
        if exclusive:
            y = torch.cat([torch.zeros_like(y.narrow(dim, 0, 1)), y.narrow(dim, 0, y.shape[dim] - 1)], dim)
        return y.flip(dim) if reverse else y

    return kernel


def _softmax(attrs: Attrs, node: NodeProto) -> Kernel:
    return partial(functional.softmax, dim=attrs.get("axis", -1))


def _log_softmax(attrs: Attrs, node: NodeProto) -> Kernel:
    return partial(functional.log_softmax, dim=attrs.get("axis", -1))


def _hardmax(attrs: Attrs, node: NodeProto) -> Kernel:
    """Hardmax: one at the first maximum along `axis`, zero elsewhere."""
    axis = attrs.get("axis", -1)
    return lambda x: torch.zeros_like(x).scatter_(axis, x.argmax(axis, keepdim=True), 1.0)


OPS: dict[str, Builder] = {
    "ArgMax": _extreme(torch.argmax),
    "ArgMin": _extreme(torch.argmin),
    "TopK": _top_k,
    "CumSum": _cum_sum,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "Hardmax": _hardmax,
}
