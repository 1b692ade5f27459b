"""Constants, generated tensors, type conversions and pass-through operators."""

from math import ceil

import torch
from onnx import NodeProto, TensorProto

from spikec.runtime.errors import UnsupportedOperator
from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, ints, plain, refuse
from spikec.runtime.torch_values import torch_type

Tensor = torch.Tensor


def _constant(attrs: Attrs, node: NodeProto) -> Kernel:
    """Constant from a tensor, or from a plain number or list of numbers."""
    for name, kind in (("value_float", attrs.dtype), ("value_floats", attrs.dtype),
                       ("value_int", torch.int64), ("value_ints", torch.int64)):  # fmt: skip
        if name in attrs:
            numbers = torch.tensor(attrs[name], dtype=kind, device=attrs.device)
            return lambda: numbers
    if "value" not in attrs:
        refuse(node, f"a constant given as {sorted(attrs)}", "give it as a dense numeric tensor")
    value: Tensor = attrs["value"]
    return lambda: value


def _constant_of_shape(attrs: Attrs, node: NodeProto) -> Kernel:
    """ConstantOfShape: filled with the one element of `value`, zero by default."""
    value = attrs.get("value", torch.zeros((), dtype=attrs.dtype))
    number = value.item()
    return lambda shape: torch.full(ints(shape), number, dtype=value.dtype, device=attrs.device)


def _range(attrs: Attrs, node: NodeProto) -> Kernel:
    """Range from start towards limit by delta, limit excluded."""

    def kernel(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
        first, step = start.item(), delta.item()
        count = max(0, ceil((limit.item() - first) / step))
        return torch.arange(count, device=attrs.device).to(start.dtype) * step + first

    return kernel


def _eye_like(attrs: Attrs, node: NodeProto) -> Kernel:
    """EyeLike: ones on the k-th diagonal of a matrix shaped as the input."""
    k = attrs.get("k", 0)
    kind = _element_type(node, attrs["dtype"], attrs.dtype) if "dtype" in attrs else None
    return lambda x: torch.ones_like(x, dtype=kind).triu(k).tril(k)


def _trilu(attrs: Attrs, node: NodeProto) -> Kernel:
    """Trilu: the upper or lower triangle of each matrix, from its k-th diagonal."""
    triangle = torch.triu if attrs.get("upper", 1) else torch.tril
    return lambda x, k=None: triangle(x, 0 if k is None else ints(k)[0])


def _cast(attrs: Attrs, node: NodeProto) -> Kernel:
    """Cast; every float type stands for the one the whole graph is evaluated in."""
    kind = _element_type(node, attrs["to"], attrs.dtype)
    return lambda x: x.to(kind)


def _element_type(node: NodeProto, onnx_type: int, dtype: torch.dtype) -> torch.dtype:
    kind = torch_type(onnx_type, dtype)
    if kind is None:
        refuse(node, f"element type {TensorProto.DataType.Name(onnx_type)}", "use a float, integer or bool type")
    return kind


def _cast_like(x: Tensor, like: Tensor) -> Tensor:
    return x.to(like.dtype)


def _identity(x: Tensor) -> Tensor:
    return x


def _dropout(x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Dropout outside of training: the input, and a mask of ones."""
    if training is not None and training.item():
        raise UnsupportedOperator("Dropout with training_mode true is random; export the network in evaluation mode")
    return x, torch.ones((), dtype=torch.bool, device=x.device).expand(x.shape)


OPS: dict[str, Builder] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "EyeLike": _eye_like,
    "Trilu": _trilu,
    "Cast": _cast,
    "CastLike": plain(_cast_like),
    "Identity": plain(_identity),
    "Dropout": plain(_dropout),
}
