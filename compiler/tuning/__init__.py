"""The tuner: searches schedule, dead zones and amplitudes for the asked number of steps."""

from spikec.tuning.record import Trial, Tuning
from spikec.tuning.search import DEFAULT_BUDGET, tune

__all__ = ["DEFAULT_BUDGET", "Trial", "Tuning", "tune"]
