"""Counts spikes neuron by neuron."""

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.runtime.manifest import Neuron
from spikec.runtime.result import SpikeCount

Axes = Mapping[str, int | None]


class Counter:
    """Adds up the events of each neuron over steps and batches.

    Args:
        neurons: the neuron table.
        axes: the axis of the samples in each neuron's events, None where none is; by default the first axis as long
            as the batch, else the first axis if it holds several rows a sample.
    """

    def __init__(self, neurons: Sequence[Neuron], axes: Axes | None = None) -> None:
        self.names = {neuron.event: neuron.name for neuron in neurons}
        self._axes = axes or {}
        self._fired: dict[str, np.ndarray] = {}
        self._slots: dict[str, int] = {}

    def add(self, event: str, fired: np.ndarray, samples: int, steps: int = 1, batch: int | None = None) -> None:
        """Add the number of events of each neuron.

        Of the samples in the ``batch`` (by default as many as the first axis is long) the first ``samples`` are real.
        """
        size = batch or (len(fired) if fired.ndim else 1)
        axis = self._axes[event] if event in self._axes else _likely_axis(fired.shape, size)
        real = _by_sample(fired, axis, size)[:samples]
        name = self.names[event]
        total = real.sum(axis=0, dtype=np.int64)
        self._fired[name] = self._fired[name] + total if name in self._fired else total
        self._slots[name] = self._slots.get(name, 0) + real.size * steps

    def counts(self) -> dict[str, SpikeCount]:
        """The counts by name of the neuron node."""
        return {name: SpikeCount(fired, int(fired.sum()), self._slots[name]) for name, fired in self._fired.items()}


def _likely_axis(shape: tuple[int, ...], batch: int) -> int | None:
    if batch in shape:
        return shape.index(batch)
    return 0 if shape and shape[0] % batch == 0 else None


def _by_sample(fired: np.ndarray, axis: int | None, batch: int) -> np.ndarray:
    """(samples, neurons ...). Of several rows a sample those of one sample are taken to stand together."""
    if axis is None:
        return fired[None]
    rows = fired.shape[axis] // batch
    apart = (batch,) if rows == 1 else (batch, rows)
    return np.moveaxis(fired.reshape(*fired.shape[:axis], *apart, *fired.shape[axis + 1 :]), axis, 0)
