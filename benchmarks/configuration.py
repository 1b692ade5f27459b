"""What benchmarks measure: a preset with settings put over it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Progress = Callable[[int, int], None]  # told (done, in all)


@dataclass(frozen=True)
class Configuration:
    """A row of a benchmark: ``preset`` with the settings in ``chosen`` put over it (names of ``spikec.Options``).

    ``trials``: of the tuner, for each T; 0 leaves it out.
    """

    name: str
    what: str
    preset: str = "default"
    chosen: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 0
