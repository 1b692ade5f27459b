"""Products: convolution, matrix products, Einstein sums."""

from functools import lru_cache

import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, number, plain, refuse
from spikec.runtime.torch_ops.windows import Pads, padded, symmetric, window

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def _conv(attrs: Attrs, node: NodeProto) -> Kernel:
    """Conv: input (N, C, *sizes), weight (M, C/group, *kernel), optional bias (M)."""
    group = attrs.get("group", 1)

    @lru_cache(maxsize=16)
    def geometry(sizes: torch.Size, kernel: torch.Size) -> tuple[tuple[int, ...], tuple[int, ...], Pads]:
        if len(kernel) not in _CONVOLUTIONS:
            refuse(node, f"convolution over {len(kernel)} axes", "use 1 to 3 spatial axes")
        shape = window(attrs, kernel)
        return shape.strides, shape.dilations, shape.pads(sizes)

    def kernel(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        strides, dilations, pads = geometry(x.shape[2:], weight.shape[2:])
        convolve = _CONVOLUTIONS[len(strides)]
        if symmetric(pads):
            return convolve(x, weight, bias, strides, [begin for begin, _ in pads], dilations, group)
        return convolve(padded(x, pads), weight, bias, strides, 0, dilations, group)

    return kernel


def _gemm(attrs: Attrs, node: NodeProto) -> Kernel:
    """Gemm: alpha * A' B' + beta * C, with C broadcast to the (M, N) product."""
    alpha, beta = number(attrs, "alpha", 1.0), number(attrs, "beta", 1.0)
    first, second = attrs.get("transA", 0), attrs.get("transB", 0)

    def kernel(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        a, b = (a.t() if first else a), (b.t() if second else b)
        if c is not None and a.is_floating_point():
            return torch.addmm(c, a, b, beta=beta, alpha=alpha)
        product = _scaled(a @ b, alpha)
        return product if c is None else product + _scaled(c, beta)

    return kernel


def _scaled(tensor: torch.Tensor, factor: float) -> torch.Tensor:
    return tensor if factor == 1.0 else (tensor * factor).to(tensor.dtype)


def _einsum(attrs: Attrs, node: NodeProto) -> Kernel:
    """Einsum over any number of operands, in ONNX's (numpy's) notation."""
    equation = attrs["equation"]
    return lambda *operands: torch.einsum(equation, *operands)


OPS: dict[str, Builder] = {"Conv": _conv, "Gemm": _gemm, "MatMul": plain(torch.matmul), "Einsum": _einsum}
