"""Products of spikes, as integers, and constant weights, as planes of 8 bits, with sums of 32 bits."""

from collections.abc import Callable, Mapping
from functools import cache

import torch
from onnx import NodeProto, helper

from spikec.runtime.layers.plan import Fold

Tensor = torch.Tensor
Tensors = dict[str, Tensor]
Product = Callable[[Tensor], list[Tensor]]  # codes (N, ...) -> what each plane of the weights gives
SILENT = 1  # the code of no spike: codes are s + 1
_LEAST, _BASE = 127, 254  # the largest number of a plane; how much finer the next one is


def product_of(node: NodeProto, constants: Mapping[str, Tensor], amplitude: Tensor, planes: int) -> Product | None:
    """What the node computes of codes, but for eta(t); None if it cannot be computed of codes.

    Args:
        node: its first input is a neuron's event.
        constants: by name.
        amplitude: of the neuron, (), (C, 1, 1), (C,) or the like.
        planes: how many of 8 bits each weight is made of.
    """
    weight = constants.get(node.input[1]) if len(node.input) == 2 and node.domain == "" else None
    if weight is None:
        return None
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if node.op_type == "Conv" and weight.ndim == 4:
        return _convolution(weight, amplitude, attributes, planes)
    if node.op_type in ("Gemm", "MatMul") and weight.ndim == 2 and not attributes.get("transA"):
        matrix = weight if attributes.get("transB") else weight.t()
        return _linear(matrix, attributes.get("alpha", 1.0), amplitude, planes)
    return None


def planes_of(weight: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
    """Planes q_i of int8 and scales (M,) of float32 with weight = sum of scale_i * q_i, up to 254 ** -count.

    Args:
        weight: (M, ...), float64.
        count: of planes; with three the sum has the precision of float32, by the largest weight of each channel.
    """
    scale = (weight.abs().flatten(1).amax(1) / _LEAST).clamp_min(1e-30).float().double()
    rest, found = weight / scale.view(-1, *[1] * (weight.ndim - 1)), []
    for _ in range(count):
        whole = rest.round()
        found.append((whole.to(torch.int8).contiguous(), scale.float()))
        rest, scale = (rest - whole) * _BASE, scale / _BASE
    return found


def _by_channel(amplitude: Tensor, axis: int, rank: int) -> Tensor | None:
    """(C,) or (1,) amplitudes along an axis of an event of that rank (from the end); None if others differ, too."""
    sizes = [1] * (rank - amplitude.ndim) + list(amplitude.shape)
    rest = [size for i, size in enumerate(sizes) if i != axis % rank]
    return amplitude.double().reshape(-1) if amplitude.ndim <= rank and set(rest) <= {1} else None


def _convolution(weight: Tensor, amplitude: Tensor, attributes: Mapping[str, object], planes: int) -> Product | None:
    """Conv over images; a convolution by channel is no faster in integers."""
    scale = _by_channel(amplitude, 1, 4)
    pads = list(attributes.get("pads", [0, 0, 0, 0]))  # type: ignore[call-overload]
    plain = attributes.get("auto_pad", b"NOTSET") == b"NOTSET" and pads[:2] == pads[2:]
    if scale is None or not plain or attributes.get("group", 1) != 1:
        return None
    how = (attributes.get("strides", [1, 1]), pads[:2], attributes.get("dilations", [1, 1]), 1)
    made = cache(lambda: planes_of(weight.double() * scale.view(1, -1, 1, 1), planes))  # not where nobody runs it
    offset = torch.zeros(len(weight), dtype=torch.int64)
    ops, packed = torch.ops.onednn, _Packed()

    def product(codes: Tensor) -> list[Tensor]:
        shape = list(codes.shape)
        ready = packed(shape, lambda: [ops.qconv_prepack(q, s, 1.0, SILENT, *how, shape) for q, s in made()])
        return [
            ops.qconv2d_pointwise(
                codes, 1.0, SILENT, weights, s, offset, None, *how, 1.0, 0, torch.float32, "none", [], ""
            )
            for weights, (_, s) in zip(ready, made(), strict=True)
        ]  # fmt: skip

    return product


def _linear(matrix: Tensor, alpha: float, amplitude: Tensor, planes: int) -> Product | None:
    """Codes (..., K) times the transposed matrix (M, K) and alpha."""
    scale = _by_channel(amplitude, -1, max(1, amplitude.ndim))
    if scale is None:
        return None
    made = cache(lambda: planes_of(alpha * matrix.double() * scale, planes))
    offset = torch.zeros(len(matrix), dtype=torch.int64)
    ops, packed = torch.ops.onednn, _Packed()

    def product(codes: Tensor) -> list[Tensor]:
        rows = codes.reshape(-1, codes.shape[-1])
        ready = packed(list(rows.shape), lambda: [ops.qlinear_prepack(q, list(rows.shape)) for q, _ in made()])
        found = [
            ops.qlinear_pointwise(rows, 1.0, SILENT, weights, s, offset, None, 1.0, 0, torch.float32, "none", [], "")
            for weights, (_, s) in zip(ready, made(), strict=True)
        ]
        return [result.reshape(*codes.shape[:-1], -1) for result in found]

    return product


class _Packed:
    """Weights in the order in memory that suits the samples of one shape, whatever their number."""

    def __init__(self) -> None:
        self._shape: list[int] = []
        self._weights: list[Tensor] = []

    def __call__(self, shape: list[int], pack: Callable[[], list[Tensor]]) -> list[Tensor]:
        if self._shape != shape[1:] or not self._weights:
            self._shape, self._weights = shape[1:], pack()
        return self._weights


class IntegerProduct:
    """One such node over a stretch of time."""

    def __init__(self, fold: Fold, product: Product) -> None:
        self.fold, self.reads, self._product = fold, tuple(fold.nodes[0].input), product

    def __call__(self, tensors: Mapping[str, Tensor], states: Tensors, steps: int) -> Tensors:
        """See ``Folded``."""
        codes = tensors[self.reads[0]]
        found = self._product(codes.flatten(0, 1))
        given = [result.reshape(*codes.shape[:2], *result.shape[1:]) for result in found]
        return dict(zip(self.fold.outputs, given, strict=True))
