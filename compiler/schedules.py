"""Schedules: tables of step sizes eta(t), t = 0..T-1."""

import math

import numpy as np

from spikec.errors import UsageError

# reach: how far, in amplitudes, a neuron can travel in T steps. Above 1 so that a neuron whose input settles late
# can still come back from a wrong turn.
REACH = 1.3


def make_schedule(spec: str, steps: int) -> np.ndarray:
    """The table (T,) in float32 that ``spec`` describes.

    ``spec`` is ``NAME`` or ``NAME:key=value,key=value``:

    - ``geometric`` (reach=1.3, ratio fitted to T): eta(t) = c * ratio^t with the sum over T steps equal to reach
    - ``exponential`` (start=0.15, decay=0.95): eta(t) = start * decay^t (Oh & Lee 2024, their configuration)
    - ``inverse`` (scale=1.0): eta(t) = scale / (t + 1) (Oh & Lee 2024)
    - ``constant`` (size=1/T): eta(t) = size

    Raises:
        UsageError: unknown name or key, or a number out of range.
    """
    name, _, rest = spec.partition(":")
    if name not in _MAKERS:
        raise UsageError(f"there is no schedule '{name}'; choose one of {', '.join(_MAKERS)}")
    defaults, maker = _MAKERS[name]
    settings = _parse(name, rest, defaults)
    table = maker(np.arange(steps, dtype=np.float64), settings)
    if not np.isfinite(table).all() or (table <= 0).any():
        raise UsageError(f"schedule '{spec}' has step sizes that are not positive numbers")
    return table.astype(np.float32)


def fitted_ratio(steps: int) -> float:
    """Ratio of the geometric schedule for T steps: .53, .72, .83, .90, .94 at T = 4, 8, 16, 32, 64.

    A power law through the ratios that served best on trained networks: steps must shrink slowly enough that deep neurons
    see their inputs settle, and far enough that the last step is small.
    """
    return 1.0 - min(0.6, 0.28 * (8.0 / steps) ** 0.743)


def reach(table: np.ndarray) -> float:
    """The farthest that v can move from v(0), in amplitudes: the sum of the step sizes."""
    return float(np.asarray(table, np.float64).sum())


def _parse(name: str, text: str, defaults: dict[str, float]) -> dict[str, float]:
    settings = dict(defaults)
    for item in filter(None, text.split(",")):
        key, _, value = item.partition("=")
        if key not in defaults:
            raise UsageError(f"schedule '{name}' has no setting '{key}'; it has {', '.join(defaults)}")
        try:
            settings[key] = float(value)
        except ValueError:
            raise UsageError(f"schedule '{name}': '{value}' is not a number for {key}") from None
    return settings


def _geometric(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    ratio = settings["ratio"]
    ratio = fitted_ratio(len(t)) if math.isnan(ratio) else ratio
    weights: np.ndarray = ratio**t
    return settings["reach"] * weights / weights.sum()


def _exponential(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    table: np.ndarray = settings["start"] * settings["decay"] ** t
    return table


def _inverse(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    return settings["scale"] / (t + 1.0)


def _constant(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    size = 1.0 / len(t) if math.isnan(settings["size"]) else settings["size"]
    return np.full(len(t), size)


_MAKERS = {
    "geometric": ({"reach": REACH, "ratio": math.nan}, _geometric),
    "exponential": ({"start": 0.15, "decay": 0.95}, _exponential),
    "inverse": ({"scale": 1.0}, _inverse),
    "constant": ({"size": math.nan}, _constant),
}
