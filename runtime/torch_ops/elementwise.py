"""Arithmetic, comparison and logic on elements, with broadcasting."""

from functools import reduce

import torch
from onnx import NodeProto

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, plain

Tensor = torch.Tensor


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _pow(base: Tensor, exponent: Tensor) -> Tensor:
    return torch.pow(base, exponent).to(base.dtype)


def _mod(attrs: Attrs, node: NodeProto) -> Kernel:
    """Mod: the remainder has the divisor's sign, or with fmod=1 the dividend's."""
    return torch.fmod if attrs.get("fmod", 0) else torch.remainder


def _sum(*terms: Tensor) -> Tensor:
    return reduce(torch.add, terms)


def _mean(*terms: Tensor) -> Tensor:
    return _sum(*terms) / len(terms)


def _max(*terms: Tensor) -> Tensor:
    return reduce(torch.maximum, terms)


def _min(*terms: Tensor) -> Tensor:
    return reduce(torch.minimum, terms)


def _clip(attrs: Attrs, node: NodeProto) -> Kernel:
    """Clip to scalar bounds, each optional; older opsets give them as attributes."""
    low, high = attrs.get("min"), attrs.get("max")

    def kernel(x: Tensor, minimum: Tensor | None = None, maximum: Tensor | None = None) -> Tensor:
        x = x if minimum is None and low is None else x.clamp(min=low if minimum is None else minimum)
        return x if maximum is None and high is None else x.clamp(max=high if maximum is None else maximum)

    return kernel


def _is_inf(attrs: Attrs, node: NodeProto) -> Kernel:
    """IsInf for both signs, or for one of them."""
    negative, positive = attrs.get("detect_negative", 1), attrs.get("detect_positive", 1)
    if negative and positive:
        return torch.isinf
    if negative or positive:
        return torch.isposinf if positive else torch.isneginf
    return lambda x: torch.zeros_like(x, dtype=torch.bool)


_PLAIN: dict[str, Kernel] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": _div,
    "Pow": _pow,
    "Sum": _sum,
    "Mean": _mean,
    "Max": _max,
    "Min": _min,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Sign": torch.sign,
    "Reciprocal": torch.reciprocal,
    "Sqrt": torch.sqrt,
    "Exp": torch.exp,
    "Log": torch.log,
    "Erf": torch.erf,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "Where": torch.where,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
    "Not": torch.logical_not,
    "IsNaN": torch.isnan,
}

OPS: dict[str, Builder] = {name: plain(kernel) for name, kernel in _PLAIN.items()} | {
    "Mod": _mod,
    "Clip": _clip,
    "IsInf": _is_inf,
}
