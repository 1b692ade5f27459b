"""Activation functions."""

from functools import partial

import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, number, plain

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


def _softplus(x: torch.Tensor) -> torch.Tensor:
    # torch's own default switches to the identity at 20, where float64 still sees the difference.
    return functional.softplus(x, threshold=50.0)


def _p_relu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, x * slope, x)


def _leaky_relu(attrs: Attrs, node: NodeProto) -> Kernel:
    return partial(functional.leaky_relu, negative_slope=number(attrs, "alpha", 0.01))


def _thresholded_relu(attrs: Attrs, node: NodeProto) -> Kernel:
    return partial(functional.threshold, threshold=number(attrs, "alpha", 1.0), value=0.0)


def _elu(attrs: Attrs, node: NodeProto) -> Kernel:
    return partial(functional.elu, alpha=number(attrs, "alpha", 1.0))


def _celu(attrs: Attrs, node: NodeProto) -> Kernel:
    return partial(functional.celu, alpha=number(attrs, "alpha", 1.0))


def _selu(attrs: Attrs, node: NodeProto) -> Kernel:
    alpha, gamma = number(attrs, "alpha", _SELU_ALPHA), number(attrs, "gamma", _SELU_GAMMA)
    return lambda x: gamma * functional.elu(x, alpha)


def _hard_sigmoid(attrs: Attrs, node: NodeProto) -> Kernel:
    alpha, beta = number(attrs, "alpha", 0.2), number(attrs, "beta", 0.5)
    return lambda x: (alpha * x + beta).clamp(0.0, 1.0)


def _swish(attrs: Attrs, node: NodeProto) -> Kernel:
    """Swish: x * sigmoid(alpha * x)."""
    alpha = number(attrs, "alpha", 1.0)
    return lambda x: x * torch.sigmoid(alpha * x)


def _gelu(attrs: Attrs, node: NodeProto) -> Kernel:
    """Gelu, exact or with approximate="tanh"."""
    return partial(functional.gelu, approximate=attrs.get("approximate", "none"))


def _shrink(attrs: Attrs, node: NodeProto) -> Kernel:
    """Shrink: values within +-lambd become zero, all others move towards zero by `bias`."""
    lambd, bias = number(attrs, "lambd", 0.5), number(attrs, "bias", 0.0)

    def kernel(x: torch.Tensor) -> torch.Tensor:
        moved = x - bias * torch.sign(x)
        return torch.where(x.abs() > lambd, moved, torch.zeros_like(x)).to(x.dtype)

    return kernel


OPS: dict[str, Builder] = {
    "Relu": plain(torch.relu),
    "LeakyRelu": _leaky_relu,
    "PRelu": plain(_p_relu),
    "ThresholdedRelu": _thresholded_relu,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "Sigmoid": plain(torch.sigmoid),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": plain(functional.hardswish),
    "Mish": plain(functional.mish),
    "Swish": _swish,
    "Tanh": plain(torch.tanh),
    "Softplus": plain(_softplus),
    "Softsign": plain(functional.softsign),
    "Gelu": _gelu,
    "Shrink": _shrink,
}
