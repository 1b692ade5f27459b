"""Some elements of a tensor that stand for all of them, with their course in time."""

from dataclasses import dataclass

import torch

from spikec.calibration.in_time import Course

Tensor = torch.Tensor
ELEMENTS = 2**16  # of all channels and samples together
FEWEST = 128  # of a channel
LARGEST = 8  # share: one in so many is among the largest, which decide how far a neuron must reach


@dataclass
class Sample:
    """Elements of every channel: their value in the ANN, (C, K), at each step, (T,) of (C, K), and whom they stand for.

    ``weight``, (C, K): the number of elements that this one stands for.
    """

    target: Tensor
    course: list[Tensor]
    weight: Tensor


def draw(courses: list[Course], axis: int | None) -> Sample:
    """Elements at random, and of each channel those of largest magnitude, which random ones would miss.

    Args:
        courses: one a batch, of the same tensor: the ANN's value and those of each step (or the ANN's alone).
        axis: of the channels; None takes the tensor as one channel.
    """
    rows = [[by_channel(value, axis) for value in course] for course in courses]
    channels = rows[0][0].shape[0]
    count = max(FEWEST, ELEMENTS // (channels * len(rows)))
    parts = [_draw(course, count) for course in rows]
    return Sample(
        torch.cat([part.target for part in parts], 1),
        [torch.cat(values, 1) for values in zip(*(part.course for part in parts), strict=True)],
        torch.cat([part.weight for part in parts], 1),
    )


def by_channel(value: Tensor, axis: int | None) -> Tensor:
    """(channels, rest), or (1, all) where no axis is given."""
    if axis is None:
        return value.reshape(1, -1)
    return value.movedim(axis, 0).reshape(value.shape[axis], -1)


def _draw(course: list[Tensor], count: int) -> Sample:
    target = course[0]
    size = target.shape[1]
    if size <= count:
        return Sample(target, course[1:] or course, torch.ones_like(target))
    top = count // LARGEST
    generator = torch.Generator().manual_seed(size)
    largest = target.abs().topk(top, dim=1).indices
    anywhere = torch.randint(size, (len(target), count - top), generator=generator)
    chosen = torch.cat([largest, anywhere], 1)
    picked = [value.gather(1, chosen) for value in course]
    return Sample(picked[0], picked[1:] or picked, _weights(size, largest, anywhere))


def _weights(size: int, largest: Tensor, anywhere: Tensor) -> Tensor:
    """1 for the ``largest``; who is drawn from ``anywhere`` stands for all others, unless it is one of the largest."""
    is_largest = torch.zeros(len(largest), size, dtype=torch.bool).scatter_(1, largest, True)
    others = ~is_largest.gather(1, anywhere)
    each = (size - largest.shape[1]) / others.sum(1, keepdim=True).clamp_min(1)
    return torch.cat([torch.ones(largest.shape), others * each], 1)
