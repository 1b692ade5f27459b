"""Normalisation layers in their inference form."""

import torch
from onnx import NodeProto
from torch.nn import functional

from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, number, refuse
from spikec.runtime.torch_ops.windows import Window, over_windows


def _batch_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """BatchNormalization with stored statistics: input (N, C, *sizes), all other inputs (C)."""
    if attrs.get("training_mode", 0):
        refuse(node, "training_mode=1", "export the network in evaluation mode")
    epsilon = number(attrs, "epsilon", 1e-5)

    def kernel(
        x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)

    return kernel


def _layer_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """LayerNormalization over all axes from `axis` on; stash_type is moot, everything has one float type."""
    epsilon, axis = number(attrs, "epsilon", 1e-5), attrs.get("axis", -1)

    def kernel(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        shape = x.shape[axis:]
        if scale.shape == shape and (bias is None or bias.shape == shape):
            return functional.layer_norm(x, shape, scale, bias, epsilon)
        y = functional.layer_norm(x, shape, None, None, epsilon) * scale
        return y if bias is None else y + bias

    return kernel


def _group_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """GroupNormalization of (N, C, *sizes); scale and bias are (C), or (groups) as before opset 21."""
    groups, epsilon = attrs["num_groups"], number(attrs, "epsilon", 1e-5)

    def kernel(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if scale.numel() != x.shape[1]:
            repeats = x.shape[1] // groups
            scale, bias = scale.repeat_interleave(repeats), bias.repeat_interleave(repeats)
        return torch.group_norm(x, groups, scale, bias, epsilon)

    return kernel


def _instance_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """InstanceNormalization: group normalisation with one group for each channel."""
    epsilon = number(attrs, "epsilon", 1e-5)
    return lambda x, scale, bias: torch.group_norm(x, x.shape[1], scale, bias, epsilon)


def _rms_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """RMSNormalization over all axes from `axis` on."""
    epsilon, axis = number(attrs, "epsilon", 1e-5), attrs.get("axis", -1)

    def kernel(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        axes = list(range(axis % x.dim(), x.dim()))
        return x / torch.sqrt((x * x).mean(axes, keepdim=True) + epsilon) * scale

    return kernel


def _lp_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """LpNormalization; rows of norm zero stay zero."""
    axis, p = attrs.get("axis", -1), attrs.get("p", 2)

    def kernel(x: torch.Tensor) -> torch.Tensor:
        norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
        return x / torch.where(norm == 0, 1.0, norm)

    return kernel


def _mean_variance_normalization(attrs: Attrs, node: NodeProto) -> Kernel:
    """MeanVarianceNormalization: zero mean and unit deviation over `axes`."""
    axes = attrs.get("axes", [0, 2, 3])

    def kernel(x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(axes, keepdim=True)
        deviation = (centred * centred).mean(axes, keepdim=True).sqrt()
        return centred / (deviation + 1e-9)

    return kernel


def _lrn(attrs: Attrs, node: NodeProto) -> Kernel:
    """LRN: every element over a power of the squares in `size` neighbouring channels."""
    alpha, beta, bias = number(attrs, "alpha", 1e-4), number(attrs, "beta", 0.75), number(attrs, "bias", 1.0)
    size = attrs["size"]
    before = (size - 1) // 2
    channels = Window((size,), (1,), (1,), (before, size - 1 - before), "NOTSET", False)

    def kernel(x: torch.Tensor) -> torch.Tensor:
        # Channels become the one spatial axis of (N, everything else, C).
        squares = (x * x).reshape(*x.shape[:2], -1).transpose(1, 2)
        total = over_windows(squares, channels, torch.add, 0.0).transpose(1, 2).reshape(x.shape)
        return x / torch.pow(bias + alpha / size * total, beta)

    return kernel


OPS: dict[str, Builder] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "RMSNormalization": _rms_normalization,
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "LRN": _lrn,
}
