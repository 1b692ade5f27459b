"""Samples that arrive batch by batch: never more than one batch of them is in memory."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from spikec.calibration import InputSpec
from spikec.errors import UsageError

Mine = Callable[[int], bool]
BATCH = 64


@dataclass(frozen=True)
class Batch:
    """Samples ``start`` to ``start + count`` by input name, with their labels where there are any."""

    start: int
    feeds: dict[str, np.ndarray]
    labels: np.ndarray | None

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(next(iter(self.feeds.values())))


@dataclass(frozen=True)
class Scaling:
    """How pictures become numbers: ``resize`` them to the model's size, then (x/255 - mean) / std by channel."""

    resize: bool = False
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def asked(self) -> bool:
        """Whether anything but the default was asked for."""
        return self != Scaling()


class Stream(Protocol):
    """Where samples come from."""

    origin: str
    samples: int
    labels: np.ndarray | None  # of all samples
    pictures: bool
    warnings: list[str]

    def batches(self, size: int, mine: Mine) -> Iterator[Batch]:
        """Batch 0, 1, ... of ``size`` samples; those whose number is not ``mine`` are passed over unread."""
        ...


@dataclass(frozen=True)
class Where:
    """The data of a check: an .npz or a folder of images, labels beside it, and how images are scaled."""

    data: Path
    labels: Path | None = None
    scaling: Scaling = field(default_factory=Scaling)


def open_stream(where: Where, specs: Sequence[InputSpec]) -> Stream:
    """The samples at ``where`` for a model with the inputs ``specs``, their names, types and shapes checked.

    Raises:
        UsageError: there are none, they do not fit, or an option is of the other kind of data.
    """
    if os.path.isdir(where.data):
        from spikec.checking.folders import FolderStream

        return FolderStream(where, specs)
    from spikec.checking.npz_stream import NpzStream

    if where.labels is not None:
        raise UsageError(f"--labels is for a folder of images; {where.data} holds its own under the name labels")
    if where.scaling.asked:
        raise UsageError(f"--resize, --mean and --std are for a folder of images; scale the arrays in {where.data}")
    return NpzStream(where.data, specs)
