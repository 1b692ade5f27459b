"""How near the spiking network's outputs are to the trained network's, added up sample by sample.

Every accumulator adds batches and merges with its like from another process; counts are whole numbers and sums exact,
so that any split of the samples gives the same. Arrays are (N, ...), ``ann`` the trained network's, ``snn`` the
spiking one's, ``labels`` (N,) or None.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Protocol

import numpy as np

from spikec.checking.exact import ExactSums
from spikec.checking.kinds import BEST, CHOICES, CLASSES, REGRESSION, answers

Labels = np.ndarray | None


class Accumulator(Protocol):
    """One family of metrics of one output."""

    def add(self, ann: np.ndarray, snn: np.ndarray, labels: Labels) -> None:
        """Add a batch."""
        ...

    def merge(self, other: Any) -> None:
        """Add what another accumulator of the same class has seen."""
        ...

    def values(self) -> dict[str, float]:
        """The metrics that there are, by name."""
        ...


@dataclass
class Agreement:
    """Same class as the trained network, and with labels the accuracy of both.

    ``top5_agreement`` is the share of samples whose class by the trained network is among the five best of the spiking
    one (with more than five classes).
    """

    kind: str = CLASSES
    entries: int = 0
    same: int = 0
    among_best: int = 0
    ranked: int = 0
    labelled: int = 0
    right_ann: int = 0
    right_snn: int = 0

    def add(self, ann: np.ndarray, snn: np.ndarray, labels: Labels) -> None:
        """See ``Accumulator``."""
        expected, found = answers(ann, self.kind), answers(snn, self.kind)
        self.entries += expected.size
        self.same += int((expected == found).sum())
        if self.kind == CLASSES and snn.shape[1] > BEST:
            self.ranked += len(snn)
            self.among_best += int((_ranks_of(snn, expected[:, 0]) < BEST).sum())
        if labels is not None:
            self.labelled += len(labels)
            self.right_ann += int((expected[:, 0] == labels).sum())
            self.right_snn += int((found[:, 0] == labels).sum())

    def merge(self, other: "Agreement") -> None:
        """See ``Accumulator``."""
        for name, value in vars(other).items():
            if name != "kind":
                setattr(self, name, getattr(self, name) + value)

    def values(self) -> dict[str, float]:
        """See ``Accumulator``."""
        found = {"agreement": self.same / self.entries}
        if self.ranked:
            found["top5_agreement"] = self.among_best / self.ranked
        if self.labelled:
            found["accuracy"] = self.right_snn / self.labelled
            found["ann_accuracy"] = self.right_ann / self.labelled
            found["accuracy_drop"] = (self.right_ann - self.right_snn) / self.labelled
        return found


@dataclass
class Distance:
    """Relative L2 distance over all samples, mean cosine, largest absolute error."""

    samples: int = 0
    sums: ExactSums = field(default_factory=ExactSums)  # squared error, squared reference, cosine
    worst: float = 0.0

    def add(self, ann: np.ndarray, snn: np.ndarray, labels: Labels) -> None:
        """See ``Accumulator``."""
        reference, value = _rows(ann), _rows(snn)
        error = value - reference
        squares = [_squared(rows) for rows in (error, reference, value)]
        self.samples += len(reference)
        self.sums.add(np.stack([*squares[:2], _cosines((reference * value).sum(axis=1), *squares[1:])], axis=1))
        self.worst = max(self.worst, float(np.abs(error).max(initial=0.0)))

    def merge(self, other: "Distance") -> None:
        """See ``Accumulator``."""
        self.samples += other.samples
        self.sums.merge(other.sums)
        self.worst = max(self.worst, other.worst)

    def values(self) -> dict[str, float]:
        """See ``Accumulator``."""
        error, reference, cosine = self.sums.totals()
        relative = sqrt(error / reference) if reference else sqrt(error)
        return {"relative_l2": relative, "cosine": float(cosine / self.samples), "max_abs_error": self.worst}


@dataclass
class Explained:
    """R2: the share of the trained network's variance about the mean of each channel (axis 1) that is met.

    An output that never varies has R2 1 where it is met exactly, else 0.
    """

    entries: int = 0  # in a channel
    sums: ExactSums = field(default_factory=ExactSums)  # squared error, squared reference, then channel by channel

    def add(self, ann: np.ndarray, snn: np.ndarray, labels: Labels) -> None:
        """See ``Accumulator``."""
        reference, error = _rows(ann), _rows(snn) - _rows(ann)
        channels = ann.shape[1] if ann.ndim > 1 else 1
        by_channel = reference.reshape(len(reference), channels, -1)
        self.entries += len(reference) * by_channel.shape[2]
        self.sums.add(np.column_stack([_squared(error), _squared(reference), by_channel.sum(axis=2)]))

    def merge(self, other: "Explained") -> None:
        """See ``Accumulator``."""
        self.entries += other.entries
        self.sums.merge(other.sums)

    def values(self) -> dict[str, float]:
        """See ``Accumulator``."""
        error, reference, *channels = self.sums.totals()
        variation = reference - sum(total * total for total in channels) / self.entries
        if variation <= 0:  # at most what rounding each sample's sum leaves
            return {"r2": 0.0 if error else 1.0}
        return {"r2": float(1 - error / variation)}


@dataclass
class Order:
    """Rank correlation: Spearman's, of the values of each sample in both networks, on average over the samples."""

    samples: int = 0
    sums: ExactSums = field(default_factory=ExactSums)

    def add(self, ann: np.ndarray, snn: np.ndarray, labels: Labels) -> None:
        """See ``Accumulator``."""
        left, right = (np.stack([_centred_ranks(row) for row in _rows(value)]) for value in (ann, snn))
        self.samples += len(left)
        self.sums.add(_cosines((left * right).sum(axis=1), _squared(left), _squared(right))[:, None])

    def merge(self, other: "Order") -> None:
        """See ``Accumulator``."""
        self.samples += other.samples
        self.sums.merge(other.sums)

    def values(self) -> dict[str, float]:
        """See ``Accumulator``."""
        return {"rank_correlation": float(self.sums.totals()[0] / self.samples)}


def accumulators(kind: str) -> Sequence[Accumulator]:
    """Those that an output of this kind needs."""
    if kind == CHOICES:
        return (Agreement(CHOICES),)
    if kind == CLASSES:
        return (Agreement(CLASSES), Distance())
    return (Distance(), Explained() if kind == REGRESSION else Order())


def _rows(value: np.ndarray) -> np.ndarray:
    """(N, values) in float64, rows contiguous: a row's sum does not depend on how many rows there are."""
    return np.ascontiguousarray(value.reshape(len(value), -1), np.float64)


def _squared(rows: np.ndarray) -> np.ndarray:
    return np.asarray((rows * rows).sum(axis=1))


def _cosines(products: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of rows, from their products and squares; two zeros are alike, a zero and another vector have nothing in common.

    Clipped to -1..1, beyond which only rounding leads.
    """
    norms = np.sqrt(left) * np.sqrt(right)
    both_zero = ((left == 0) & (right == 0)).astype(np.float64)
    return np.asarray(np.clip(np.divide(products, norms, out=both_zero, where=norms > 0), -1.0, 1.0))


def _ranks_of(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How many classes stand before those asked for (N,); of equal scores the lower class comes first, as in argmax."""
    own = np.take_along_axis(scores, classes[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < classes[:, None]
    return np.asarray(((scores > own) | ((scores == own) & earlier)).sum(axis=1))


def _centred_ranks(row: np.ndarray) -> np.ndarray:
    """Ranks around 0; equal values share the mean of their ranks."""
    _, which, counts = np.unique(row, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which] - (len(row) + 1) / 2)
