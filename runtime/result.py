"""What a run returns."""

from dataclasses import dataclass, field

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass
class SpikeCount:
    """Events of one neuron node: per neuron (summed over samples and steps), in all, and out of how many slots."""

    per_neuron: np.ndarray
    total: int
    slots: int

    @property
    def rate(self) -> float:
        """Share of the slots (neurons x samples x steps) in which an event was sent; binary signGD neurons: 1."""
        return self.total / self.slots if self.slots else 0.0


@dataclass
class Step:
    """One time step: outputs as they stand after step ``t`` (counted from 1), and the spikes (-1, 0, +1) sent in it."""

    t: int
    outputs: Arrays
    spikes: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Result:
    """Outputs at the asked steps, and spike counts up to the last of them.

    Attributes:
        outputs: number of steps -> name -> array (N, ...).
        spikes: name of the neuron node -> counts; empty where counting was off.
    """

    outputs: dict[int, Arrays]
    spikes: dict[str, SpikeCount] = field(default_factory=dict)

    @property
    def final(self) -> Arrays:
        """The outputs after the last asked step."""
        return self.outputs[max(self.outputs)]

    @property
    def rate(self) -> float:
        """The spike rate over all neurons."""
        slots = sum(count.slots for count in self.spikes.values())
        return sum(count.total for count in self.spikes.values()) / slots if slots else 0.0


@dataclass(frozen=True)
class EarlyResult:
    """The outputs of each sample when it was finished, and after how many steps that was.

    Attributes:
        outputs: name -> array (N, ...).
        steps: (N,), from 1 to ``limit``.
        limit: the number of steps that no sample goes beyond.
    """

    outputs: Arrays
    steps: np.ndarray
    limit: int

    @property
    def mean_steps(self) -> float:
        """Steps of a sample on average."""
        return float(self.steps.mean())
