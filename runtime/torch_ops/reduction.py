"""Reductions over axes; integer inputs keep their type, as ONNX asks."""

from collections.abc import Callable

import torch
from onnx import NodeProto

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, as_float, chosen_axes

Reduction = Callable[[torch.Tensor, list[int], bool], torch.Tensor]


def _reducer(apply: Reduction, alone: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Builder:
    """Builder of a reduction; `alone` is what it does to each element when it reduces no axis at all."""

    def build(attrs: Attrs, node: NodeProto) -> Kernel:
        keep, fixed = bool(attrs.get("keepdims", 1)), attrs.get("axes")
        inert = bool(attrs.get("noop_with_empty_axes", 0))

        def kernel(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
            dims = chosen_axes(axes, fixed)
            if not dims and inert:
                return x if alone is None else alone(x).to(x.dtype)
            return apply(x, dims or list(range(x.dim())), keep).to(x.dtype)

        return kernel

    return build


def _sum(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.sum(dims, keepdim=keep)


def _mean(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return as_float(x).mean(dims, keepdim=keep)


def _prod(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    for dim in sorted((dim % x.dim() for dim in dims), reverse=True):
        x = x.prod(dim, keepdim=keep)
    return x


def _sum_square(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return (x * x).sum(dims, keepdim=keep)


def _l1(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return x.abs().sum(dims, keepdim=keep)


def _l2(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return as_float(_sum_square(x, dims, keep)).sqrt()


def _log_sum(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return as_float(x.sum(dims, keepdim=keep)).log()


def _log_sum_exp(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    return torch.logsumexp(as_float(x), dims, keepdim=keep)


def _log(x: torch.Tensor) -> torch.Tensor:
    return as_float(x).log()


OPS: dict[str, Builder] = {
    "ReduceSum": _reducer(_sum),
    "ReduceMean": _reducer(_mean),
    "ReduceProd": _reducer(_prod),
    "ReduceMax": _reducer(torch.amax),
    "ReduceMin": _reducer(torch.amin),
    "ReduceL1": _reducer(_l1, torch.abs),
    "ReduceL2": _reducer(_l2, torch.abs),
    "ReduceLogSum": _reducer(_log_sum, _log),
    "ReduceLogSumExp": _reducer(_log_sum_exp),
    "ReduceSumSquare": _reducer(_sum_square, torch.square),
}
