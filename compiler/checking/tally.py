"""All that a check counts, batch by batch; the tallies of several processes make one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikec.checking.kinds import CHOICES, CLASSES, answers, kind_of, labelled_output
from spikec.checking.metrics import Accumulator, accumulators
from spikec.checking.streams import Batch
from spikec.errors import ModelError
from spikec.runtime import Result

Arrays = Mapping[str, np.ndarray]
KEPT = 24  # disagreements


@dataclass(frozen=True)
class Disagreement:
    """A sample that the two networks take for different classes after the last step; ``picture`` as it was fed."""

    sample: int
    output: str
    ann: int
    snn: int
    label: int | None
    picture: np.ndarray | None = field(default=None, compare=False)


@dataclass
class Seconds:
    """Time spent on the trained network, on the spiking one, and on reading data."""

    ann: float = 0.0
    snn: float = 0.0
    data: float = 0.0

    def add(self, ann: float, snn: float, data: float) -> None:
        """Add those of a batch."""
        self.ann, self.snn, self.data = self.ann + ann, self.snn + snn, self.data + data


@dataclass
class Tally:
    """What was measured so far.

    Attributes:
        named: the kind that the user gave an output by its name, or None.
        pictures: whether to keep the pictures of disagreements.
        kinds: of the outputs, in their order.
        found: accumulators by (steps, output).
        spikes: events and slots of each neuron node, up to the last of the steps.
    """

    named: Mapping[str, str | None] = field(default_factory=dict)
    pictures: bool = False
    samples: int = 0
    kinds: dict[str, str] = field(default_factory=dict)
    found: dict[tuple[int, str], tuple[Accumulator, ...]] = field(default_factory=dict)
    spikes: dict[str, tuple[int, int]] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)

    def add(self, batch: Batch, ann: Arrays, snn: Result) -> None:
        """Add a batch with the outputs of both networks.

        Raises:
            ModelError: an output holds NaN or infinity, or has not one row a sample.
            UsageError: labels are there and no output of classes, or an output is not of the kind it was named.
        """
        self.samples += batch.count
        self.kinds = {name: kind_of(name, value, self.named.get(name)) for name, value in ann.items()}
        labelled = labelled_output(ann, self.kinds)
        for name, value in ann.items():
            _check(name, value, batch, "the trained network")
        for steps, outputs in snn.outputs.items():
            for name, value in ann.items():
                _check(name, outputs[name], batch, f"the artifact after {steps} steps", value.shape)
                parts = self.found.setdefault((steps, name), tuple(accumulators(self.kinds[name])))
                for part in parts:
                    part.add(value, outputs[name], batch.labels if name == labelled else None)
        self._count(snn)
        self._look_for_disagreements(batch, ann, snn.final)

    def merge(self, other: "Tally") -> None:
        """Add what another process has counted."""
        self.samples += other.samples
        self.kinds = self.kinds or other.kinds
        for key, parts in other.found.items():
            if key in self.found:
                for mine, theirs in zip(self.found[key], parts, strict=True):
                    mine.merge(theirs)
            else:
                self.found[key] = parts
        for name, counts in other.spikes.items():
            self._add_spikes(name, *counts)
        self.disagreements = sorted([*self.disagreements, *other.disagreements], key=lambda d: d.sample)[:KEPT]
        for what, seconds in vars(other.seconds).items():
            setattr(self.seconds, what, max(getattr(self.seconds, what), seconds))

    def values(self, steps: int, output: str) -> dict[str, float]:
        """The metrics of an output after so many steps."""
        return {name: value for part in self.found[steps, output] for name, value in part.values().items()}

    @property
    def spike_rate(self) -> float:
        """Events per neuron and step, over all neurons."""
        slots = sum(slots for _, slots in self.spikes.values())
        return sum(events for events, _ in self.spikes.values()) / slots if slots else 0.0

    def _count(self, snn: Result) -> None:
        for name, count in snn.spikes.items():
            self._add_spikes(name, count.total, count.slots)

    def _add_spikes(self, name: str, events: int, slots: int) -> None:
        before = self.spikes.get(name, (0, 0))
        self.spikes[name] = (before[0] + events, before[1] + slots)

    def _look_for_disagreements(self, batch: Batch, ann: Arrays, snn: Arrays) -> None:
        """Of the first output of classes."""
        name = next((n for n, kind in self.kinds.items() if kind in (CLASSES, CHOICES) and ann[n].ndim <= 2), None)
        if name is None or len(self.disagreements) == KEPT:
            return
        expected, found = (answers(outputs[name], self.kinds[name])[:, 0] for outputs in (ann, snn))
        for row in np.flatnonzero(expected != found)[: KEPT - len(self.disagreements)]:
            label = None if batch.labels is None else int(batch.labels[row])
            picture = next(iter(batch.feeds.values()))[row].copy() if self.pictures else None
            self.disagreements.append(
                Disagreement(batch.start + int(row), name, int(expected[row]), int(found[row]), label, picture)
            )


def _check(name: str, value: np.ndarray, batch: Batch, whose: str, shape: tuple[int, ...] | None = None) -> None:
    if not value.ndim or len(value) != batch.count:
        raise ModelError(
            f"output '{name}' of {whose} has the shape {value.shape} for {batch.count} samples, not one row each, so "
            "that it cannot be checked; export the model without it"
        )
    if shape not in (None, value.shape):
        raise ModelError(f"output '{name}' of {whose} has the shape {value.shape}, that of the trained network {shape}")
    if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
        row = int(np.flatnonzero(~np.isfinite(value.reshape(len(value), -1)).all(axis=1))[0])
        raise ModelError(f"output '{name}' of {whose} is not finite for sample {batch.start + row}; check its data")
