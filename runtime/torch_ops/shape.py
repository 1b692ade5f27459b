"""Operators that rearrange elements without choosing among them, and those that speak about shapes."""

from math import prod

import torch
from onnx import NodeProto

from spikec.runtime.errors import UnsupportedOperator
from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel, chosen_axes, ints, plain

Tensor = torch.Tensor


def _reshape(attrs: Attrs, node: NodeProto) -> Kernel:
    """Reshape: -1 stands for the rest, 0 for the input's own extent unless allowzero=1."""
    literal_zero = attrs.get("allowzero", 0)

    def kernel(x: Tensor, shape: Tensor) -> Tensor:
        sizes = ints(shape)
        if not literal_zero:
            sizes = [size or x.shape[axis] for axis, size in enumerate(sizes)]
        return x.reshape(sizes)

    return kernel


def _flatten(attrs: Attrs, node: NodeProto) -> Kernel:
    """Flatten to two axes, the second beginning at `axis`."""
    axis = attrs.get("axis", 1)
    return lambda x: x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


def _transpose(attrs: Attrs, node: NodeProto) -> Kernel:
    permutation = attrs.get("perm")
    return lambda x: x.permute(permutation or list(range(x.dim()))[::-1])


def _squeeze(attrs: Attrs, node: NodeProto) -> Kernel:
    """Squeeze the given axes, or every axis of extent one."""

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = chosen_axes(axes, attrs.get("axes"))
        return x.squeeze() if dims is None else x.squeeze(dims)

    return kernel


def _unsqueeze(attrs: Attrs, node: NodeProto) -> Kernel:
    """Unsqueeze: the axes count in the output."""

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = chosen_axes(axes, attrs.get("axes")) or []
        rank = x.dim() + len(dims)
        for dim in sorted(dim % rank for dim in dims):
            x = x.unsqueeze(dim)
        return x

    return kernel


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, ints(shape)))  # type: ignore[no-untyped-call]


def _concat(attrs: Attrs, node: NodeProto) -> Kernel:
    axis = attrs["axis"]
    return lambda *parts: torch.cat(parts, axis)


def _split(attrs: Attrs, node: NodeProto) -> Kernel:
    """Split into the given lengths, or into as many equal parts as there are outputs, the last one shorter."""
    axis, count = attrs.get("axis", 0), attrs.get("num_outputs", len(node.output))

    def kernel(x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, ...]:
        sizes = chosen_axes(lengths, attrs.get("split"))
        if sizes is None:
            each = -(-x.shape[axis] // count)
            sizes = [each] * (count - 1) + [x.shape[axis] - each * (count - 1)]
        return tuple(torch.split(x, sizes, axis))

    return kernel


def _tile(x: Tensor, repeats: Tensor) -> Tensor:
    return x.repeat(ints(repeats))


def _depth_to_space(attrs: Attrs, node: NodeProto) -> Kernel:
    """DepthToSpace of (N, C, H, W) to (N, C/b/b, H*b, W*b); the mode says how the block is laid out in C."""
    block, columns_last = attrs["blocksize"], attrs.get("mode", "DCR") == "CRD"

    def kernel(x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        depth = channels // (block * block)
        if columns_last:
            y = x.reshape(n, depth, block, block, height, width).permute(0, 1, 4, 2, 5, 3)
        else:
            y = x.reshape(n, block, block, depth, height, width).permute(0, 3, 4, 1, 5, 2)
        return y.reshape(n, depth, height * block, width * block)

    return kernel


def _space_to_depth(attrs: Attrs, node: NodeProto) -> Kernel:
    """SpaceToDepth of (N, C, H, W) to (N, C*b*b, H/b, W/b), the block before the channels."""
    block = attrs["blocksize"]

    def kernel(x: Tensor) -> Tensor:
        n, depth, height, width = x.shape
        y = x.reshape(n, depth, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
        return y.reshape(n, depth * block * block, height // block, width // block)

    return kernel


def _col2im(attrs: Attrs, node: NodeProto) -> Kernel:
    """Col2Im of (N, C*kh*kw, L) to images (N, C, H, W): blocks are added up where they overlap."""
    strides, dilations = (attrs.get(name, [1, 1]) for name in ("strides", "dilations"))
    pads = attrs.get("pads", [0] * 4)

    def kernel(x: Tensor, image: Tensor, block: Tensor) -> Tensor:
        (height, width), (top, left, bottom, right) = _two(image, node), pads
        whole = (height + top + bottom, width + left + right)  # fold pads alike on both sides, ONNX need not
        folded = torch.nn.functional.fold(x, whole, _two(block, node), tuple(dilations), stride=tuple(strides))
        return folded[:, :, top : top + height, left : left + width]

    return kernel


def _two(sizes: Tensor, node: NodeProto) -> tuple[int, int]:
    found = ints(sizes)
    if len(found) != 2:
        raise UnsupportedOperator(f"Col2Im node '{node.name}': images of {len(found)} axes, where 2 are supported")
    return found[0], found[1]


def _shape(attrs: Attrs, node: NodeProto) -> Kernel:
    """Shape: extents as int64, those from `start` to `end`."""
    part = slice(attrs.get("start", 0), attrs.get("end"))
    return lambda x: torch.tensor(x.shape[part], dtype=torch.int64, device=attrs.device)


def _size(attrs: Attrs, node: NodeProto) -> Kernel:
    return lambda x: torch.tensor(x.numel(), dtype=torch.int64, device=attrs.device)


OPS: dict[str, Builder] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": plain(_expand),
    "Concat": _concat,
    "Split": _split,
    "Tile": plain(_tile),
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Col2Im": _col2im,
    "Shape": _shape,
    "Size": _size,
}
