"""The thresholds that there are: which metric each bounds, from which side, and what numbers make sense."""

import difflib
import math
from dataclasses import dataclass
from typing import Any

from spikec.checking.kinds import CHOICES, CLASSES, EMBEDDING, NAMED, REGRESSION
from spikec.errors import UsageError

KIND = "kind"
_FLOATS = (CLASSES, REGRESSION, EMBEDDING)


@dataclass(frozen=True)
class Key:
    """One threshold; ``least``: the metric has to be at least this, else at most."""

    name: str
    metric: str
    least: bool
    low: float
    high: float
    kinds: tuple[str, ...] = ()  # of outputs; none: of the whole network
    labels: bool = False

    def met(self, value: float, threshold: float) -> bool:
        """Whether ``value`` passes."""
        return value >= threshold if self.least else value <= threshold

    def tighter(self, one: float, other: float) -> bool:
        """Whether the threshold ``one`` asks for more than ``other``."""
        return one > other if self.least else one < other


KEYS = {
    key.name: key
    for key in (
        Key("min_agreement", "agreement", True, 0, 1, (CLASSES, CHOICES)),
        Key("min_top5_agreement", "top5_agreement", True, 0, 1, (CLASSES,)),
        Key("min_accuracy", "accuracy", True, 0, 1, (CLASSES, CHOICES), labels=True),
        Key("max_accuracy_drop", "accuracy_drop", False, -1, 1, (CLASSES, CHOICES), labels=True),
        Key("max_relative_l2", "relative_l2", False, 0, math.inf, _FLOATS),
        Key("min_cosine", "cosine", True, -1, 1, _FLOATS),
        Key("max_abs_error", "max_abs_error", False, 0, math.inf, _FLOATS),
        Key("min_r2", "r2", True, -math.inf, 1, (REGRESSION,)),
        Key("min_rank_correlation", "rank_correlation", True, -1, 1, (EMBEDDING,)),
        Key("max_spike_rate", "spike_rate", False, 0, 1),
    )
}
BY_METRIC = {key.metric: key for key in KEYS.values()}


def check_setting(name: str, value: Any, where: str) -> None:
    """Refuse a line of a thresholds file that means nothing; ``where`` names its table.

    Raises:
        UsageError: the key is unknown (the message names the nearest one), or the value is none that it can have.
    """
    if name == KIND:
        if value not in NAMED:
            raise UsageError(f"{where}: kind is {value!r}; choose one of {', '.join(NAMED)}")
        return
    if name not in KEYS:
        raise UsageError(f"{where}: there is no threshold '{name}'; the nearest is {nearest(name, [*KEYS, KIND])}")
    key = KEYS[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(f"{where}: {name} is {value!r}; write a number")
    if not key.low <= value <= key.high:
        raise UsageError(f"{where}: {name} is {value}, but {key.metric} lies {_span(key)}")


def nearest(name: str, known: list[str]) -> str:
    """The known name that is most like ``name``."""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _span(key: Key) -> str:
    if math.isinf(key.high):
        return f"from {key.low:g} on"
    return f"from {key.low:g} to {key.high:g}" if math.isfinite(key.low) else f"up to {key.high:g}"
