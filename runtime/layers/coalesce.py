"""Axes that all tensors of an elementwise computation broadcast alike, taken together."""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch

from spikec.runtime.layers.loop import Order

Tensor = torch.Tensor
Reshape = Callable[..., Tensor]


class Coalesced(NamedTuple):
    """The common shape; ``merge`` takes a tensor to few axes, ``restore`` one of the common shape back.

    Both leave the first ``lead`` axes (their second argument, 0 by default) as they are.
    """

    shape: tuple[int, ...]
    merge: Reshape
    restore: Reshape


def coalesce(
    carried: Sequence[Tensor],
    still: Sequence[Tensor],
    stacks: Sequence[Tensor],
    *,
    strided: bool = False,
    row: int | None = None,
    given: Order = None,
) -> Coalesced:
    """How all these tensors (``stacks`` behind their first axis) broadcast together on as few axes as possible.

    Axes are taken in the order in which a tensor of the common shape lies in memory, channels last for instance.

    Args:
        carried: states.
        still: what has one value for all steps.
        stacks: what has a value for each step.
        strided: axes stay apart where merging them would copy one of the tensors.
        given: the order of the axes, if it is not to be that in memory.
        row: this axis comes last and stays apart, with at least one axis before it.
    """
    tensors = [*carried, *still, *(stack[0] for stack in stacks)]
    full = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    order = _ordered(full, [*(stack[0] for stack in stacks), *carried, *still], given)
    if row is not None:
        order.append(order.pop(order.index(row % len(full))))
    kinds = [_kind(full, axis, tensors) for axis in range(len(full))]
    steps = [_steps(full, axis, tensors) for axis in range(len(full))] if strided else None
    outer = order if row is None else order[:-1]
    groups = _groups(full, outer, kinds, steps)
    if row is not None:
        groups = [*(groups or [[]]), order[-1:]]
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


def _ordered(full: tuple[int, ...], tensors: Sequence[Tensor], given: Order) -> list[int]:
    if isinstance(given, tuple) and len(given) == len(full):
        return list(given)
    found, rank = _memory_order(full, tensors), len(full)
    if given == "product":
        return sorted(found, key=lambda axis: axis if axis < rank - 2 else rank)
    return found


def _memory_order(full: tuple[int, ...], tensors: Sequence[Tensor]) -> list[int]:
    """The axes from the slowest to the fastest in the first tensor that fills the common shape, if there is one."""
    filling = (tensor.stride() for tensor in tensors if tensor.shape == full)
    strides = next((s for s in filling if all(step or size == 1 for step, size in zip(s, full, strict=True))), None)
    return sorted(range(len(full)), key=lambda axis: -strides[axis]) if strides else list(range(len(full)))


def _kind(full: tuple[int, ...], axis: int, tensors: Sequence[Tensor]) -> tuple[bool, ...]:
    """Which tensors fill the axis."""
    behind = axis - len(full)
    return tuple(-behind <= tensor.ndim and tensor.shape[behind] == full[axis] for tensor in tensors)


def _steps(full: tuple[int, ...], axis: int, tensors: Sequence[Tensor]) -> list[int]:
    """The tensors' strides along the axis; 0 where they are broadcast."""
    behind = axis - len(full)
    return [tensor.stride(behind) if -behind <= tensor.ndim and tensor.shape[behind] > 1 else 0 for tensor in tensors]


def _groups(
    full: tuple[int, ...], order: Sequence[int], kinds: Sequence[tuple[bool, ...]], steps: Sequence[list[int]] | None
) -> list[list[int]]:
    """Neighbouring axes along which the same tensors are broadcast; axes of length 1 belong nowhere.

    Where ``steps`` are given, all tensors step from one axis of a group to the next as if they were one.
    """
    groups: list[list[int]] = []
    for axis in (axis for axis in order if full[axis] > 1):
        last = groups[-1][-1] if groups else axis
        merged = bool(groups) and kinds[last] == kinds[axis]
        if merged and steps is not None:
            merged = steps[last] == [step * full[axis] for step in steps[axis]]
        if merged:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups
