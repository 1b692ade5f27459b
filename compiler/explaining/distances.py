"""How far outputs are from those of the trained network, over time and over batches."""

from collections.abc import Mapping

import numpy as np


class OutputSums:
    """Relative L2 distances of several outputs at each step; of classes (integers) the share that differs."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._sums: dict[str, np.ndarray] = {}  # (2, T): of the differences, of the reference
        self._rooted: dict[str, bool] = {}

    def add(self, t: int, outputs: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]) -> None:
        """Add one batch at step ``t``, counted from 1."""
        for name, reference in references.items():
            self._rooted[name] = bool(np.issubdtype(reference.dtype, np.floating))
            sums = self._sums.setdefault(name, np.zeros((2, self.steps)))
            sums[:, t - 1] += (
                _squares(outputs[name], reference) if self._rooted[name] else _counts(outputs[name], reference)
            )

    def distances(self) -> dict[str, np.ndarray]:
        """(T,) by output; absolute where the reference is zero."""
        found = {}
        for name, (difference, reference) in self._sums.items():
            ratio = difference / np.where(reference > 0, reference, 1.0)
            found[name] = np.sqrt(ratio) if self._rooted[name] else ratio
        return found


def _squares(value: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    wide = reference.astype(np.float64)
    return float(((value.astype(np.float64) - wide) ** 2).sum()), float((wide**2).sum())


def _counts(value: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    return float((value != reference).sum()), float(reference.size)
