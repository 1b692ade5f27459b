"""Counts spikes neuron by neuron."""

from collections.abc import Sequence

import numpy as np

from spikec.runtime.manifest import Neuron
from spikec.runtime.result import SpikeCount


class Counter:
    """Adds up the events of each neuron over steps and batches."""

    def __init__(self, neurons: Sequence[Neuron]) -> None:
        self.names = {neuron.event: neuron.name for neuron in neurons}
        self._fired: dict[str, np.ndarray] = {}
        self._slots: dict[str, int] = {}

    def add(self, event: str, fired: np.ndarray, samples: int, steps: int = 1) -> None:
        """Add the number of events of each neuron, (batch, ...), of which the first ``samples`` are real."""
        fired = fired[:samples] if fired.ndim else fired[None]
        name = self.names[event]
        total = fired.sum(axis=0, dtype=np.int64)
        self._fired[name] = self._fired[name] + total if name in self._fired else total
        self._slots[name] = self._slots.get(name, 0) + fired.size * steps

    def counts(self) -> dict[str, SpikeCount]:
        """The counts by name of the neuron node."""
        return {name: SpikeCount(fired, int(fired.sum()), self._slots[name]) for name, fired in self._fired.items()}
