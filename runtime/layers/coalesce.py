"""Axes that all tensors of an elementwise computation broadcast alike, taken together."""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch

Tensor = torch.Tensor
Reshape = Callable[..., Tensor]


class Coalesced(NamedTuple):
    """The common shape; ``merge`` takes a tensor to few axes, ``restore`` one of the common shape back.

    Both leave the first ``lead`` axes (their second argument, 0 by default) as they are.
    """

    shape: tuple[int, ...]
    merge: Reshape
    restore: Reshape


def coalesce(carried: Sequence[Tensor], still: Sequence[Tensor], stacks: Sequence[Tensor]) -> Coalesced:
    """How all these tensors (``stacks`` behind their first axis) broadcast together on as few axes as possible.

    Axes are taken in the order in which a tensor of the common shape lies in memory, channels last for instance.
    """
    shapes = [tensor.shape for tensor in (*carried, *still)] + [stack.shape[1:] for stack in stacks]
    full = np.broadcast_shapes(*shapes)
    order = _memory_order(full, [*(stack[0] for stack in stacks), *carried, *still])
    groups = _groups(full, order, [(1,) * (len(full) - len(shape)) + tuple(shape) for shape in shapes])
    back = [order.index(axis) for axis in range(len(full))]

    def merge(tensor: Tensor, lead: int = 0) -> Tensor:
        first = tensor.shape[:lead]
        padded = tensor.reshape((*first, *(1,) * (len(full) - tensor.ndim + lead), *tensor.shape[lead:]))
        shape = padded.shape[lead:]
        ordered = padded.permute((*range(lead), *(lead + axis for axis in order)))
        return ordered.reshape((*first, *(prod(shape[axis] for axis in group) for group in groups)))

    def restore(tensor: Tensor, lead: int = 0) -> Tensor:
        ordered = tensor.reshape((*tensor.shape[:lead], *(full[axis] for axis in order)))
        return ordered.permute((*range(lead), *(lead + axis for axis in back)))

    return Coalesced(full, merge, restore)


def _memory_order(full: tuple[int, ...], tensors: Sequence[Tensor]) -> list[int]:
    """The axes from the slowest to the fastest in the first tensor that fills the common shape, if there is one."""
    filling = (tensor.stride() for tensor in tensors if tensor.shape == full)
    strides = next((s for s in filling if all(step or size == 1 for step, size in zip(s, full, strict=True))), None)
    return sorted(range(len(full)), key=lambda axis: -strides[axis]) if strides else list(range(len(full)))


def _groups(full: tuple[int, ...], order: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Neighbouring axes along which the same tensors are broadcast; axes of length 1 belong nowhere."""
    groups: list[list[int]] = []
    kinds: list[tuple[bool, ...]] = []
    for axis in (axis for axis in order if full[axis] > 1):
        kind = tuple(shape[axis] == full[axis] for shape in shapes)
        if kinds and kinds[-1] == kind:
            groups[-1].append(axis)
        else:
            groups.append([axis])
            kinds.append(kind)
    return groups
