"""Sums of floats without rounding: the same in whatever order, and however the samples are split among processes."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from spikec.errors import ModelError

_MANTISSA = 53  # bits of a float64
_LOWEST = 1073  # frexp's exponent of the smallest float64 is -1073
_UNIT = 2 ** (_MANTISSA + _LOWEST)


@dataclass
class ExactSums:
    """Several sums side by side, each a whole number of the smallest unit that a float64 can hold."""

    units: list[int] = field(default_factory=list)

    def add(self, rows: np.ndarray) -> None:
        """Add the rows of a float64 array (samples, sums).

        Raises:
            ModelError: a value is not finite, which no sum can hold.
        """
        if not np.isfinite(rows).all():
            raise ModelError("the outputs are so large that their squares overflow; check the scale of the data")
        mantissas, exponents = np.frexp(rows)
        whole = (mantissas * 2.0**_MANTISSA).astype(np.int64).astype(object)
        self._add((whole << (exponents + _LOWEST).astype(object)).sum(axis=0).tolist())

    def merge(self, other: "ExactSums") -> None:
        """Add what another process has summed."""
        self._add(other.units)

    def totals(self) -> list[Fraction]:
        """The sums, without rounding."""
        return [Fraction(units, _UNIT) for units in self.units]

    def _add(self, units: list[int]) -> None:
        if not units:
            return
        before = self.units or [0] * len(units)
        self.units = [left + right for left, right in zip(before, units, strict=True)]
