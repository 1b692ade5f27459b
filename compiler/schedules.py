"""Schedules: tables of step sizes eta(t), t = 0..T-1."""

import math

import numpy as np

from spikec.errors import UsageError

# How far, in amplitudes, a neuron can travel in T steps. Above 1 so that a neuron whose input settles late can still
# come back from a wrong turn.
REACH = 1.5


def make_schedule(spec: str, steps: int, depth: float = 0.0) -> np.ndarray:
    """The table (T,) in float32 that ``spec`` describes, for a neuron at the relative ``depth`` (0 first, 1 deepest).

    ``spec`` is ``NAME`` or ``NAME:key=value,key=value``:

    - ``geometric`` (reach=1.5, ratio and stagger fitted to T): eta(t) = c * ratio^max(0, t - depth*stagger), the sum
      over T steps being reach. Staggered by depth: a deeper neuron starts to decay later, when its inputs have settled.
    - ``exponential`` (start=0.15, decay=0.95): eta(t) = start * decay^t (Oh & Lee 2024, their configuration)
    - ``inverse`` (scale=1.0): eta(t) = scale / (t + 1) (Oh & Lee 2024)
    - ``constant`` (size=1/T): eta(t) = size
    - ``wavefront`` (spikes=8, reach=1.5, ratio fitted to spikes): a neuron waits until those before it are done, and
      has so many steps of a geometric schedule for itself; before and after its size is 0. With as many steps as
      spikes times the neurons on the longest way the windows do not overlap: T is the latency, not the spikes.
    - ``table:0.5/0.25/...``: T step sizes, for every neuron

    Raises:
        UsageError: unknown name or key, or a number out of range.
    """
    name, _, rest = spec.partition(":")
    if name == "table":
        return _checked(spec, _listed(spec, rest, steps))
    if name not in _MAKERS:
        raise UsageError(f"there is no schedule '{name}'; choose one of {', '.join((*_MAKERS, 'table'))}")
    defaults, maker = _MAKERS[name]
    settings = _parse(name, rest, defaults)
    with np.errstate(all="ignore"):  # what overflows is refused below
        table = maker(np.arange(steps, dtype=np.float64), {**settings, "depth": depth})
    return _checked(spec, table, waits=name == "wavefront")


def _checked(spec: str, table: np.ndarray, waits: bool = False) -> np.ndarray:
    """The table in float32: late steps may vanish there, but not all of them."""
    with np.errstate(all="ignore"):
        stored = table.astype(np.float32)
    if not np.isfinite(stored).all() or (table < 0).any() or not stored.any() or not (waits or (table > 0).all()):
        raise UsageError(f"schedule '{spec}' has step sizes that are not positive numbers of float32")
    return stored


def _listed(spec: str, text: str, steps: int) -> np.ndarray:
    try:
        table = np.array([float(item) for item in text.split("/")])
    except ValueError as error:
        raise UsageError(f"schedule '{spec}': write the step sizes as numbers, as in table:0.5/0.25") from error
    if len(table) != steps:
        raise UsageError(f"schedule '{spec}' lists {len(table)} step sizes; T is {steps}")
    return table


def fitted_ratio(steps: int) -> float:
    """Ratio of the geometric schedule for T steps: .5, .65, .65, .75, .81, .85 at T = 2, 4, 8, 16, 32, 64."""
    if steps >= 16:
        return float(1.0 - 0.25 * math.pow(16.0 / steps, 0.37))
    return float(np.interp(math.log2(steps), (1, 2, 3, 4), (0.5, 0.65, 0.65, 0.75)))


def fitted_stagger(steps: int) -> float:
    """Steps by which the deepest neuron starts to decay after the first: 1.5, 4, 10, 22, 48 at T = 4, 8, 16, 32, 64.

    What is left for its own decay, T^0.66, is enough for its last step to be small.
    """
    return float(steps - math.pow(steps, 0.66))


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
            settings[key] = math.nan
        if math.isnan(settings[key]):
            raise UsageError(f"schedule '{name}': '{value}' is not a number for {key}")
    return settings


def _geometric(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    ratio = settings["ratio"]
    ratio = fitted_ratio(len(t)) if math.isnan(ratio) else ratio
    stagger = settings["stagger"]
    stagger = fitted_stagger(len(t)) if math.isnan(stagger) else stagger
    weights: np.ndarray = ratio ** np.maximum(0.0, t - settings["depth"] * stagger)
    table: np.ndarray = settings["reach"] * weights / weights.sum()
    return table


def _exponential(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    table: np.ndarray = settings["start"] * settings["decay"] ** t
    return table


def _inverse(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    return settings["scale"] / (t + 1.0)


def _constant(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    size = 1.0 / len(t) if math.isnan(settings["size"]) else settings["size"]
    return np.full(len(t), size)


def _wavefront(t: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    spikes = int(min(len(t), max(1.0, settings["spikes"])))
    ratio = fitted_ratio(spikes) if math.isnan(settings["ratio"]) else settings["ratio"]
    own = t - round(settings["depth"] * (len(t) - spikes))
    weights = np.where((own >= 0) & (own < spikes), ratio**own, 0.0)
    table: np.ndarray = settings["reach"] * weights / weights.sum()
    return table


_MAKERS = {
    "geometric": ({"reach": REACH, "ratio": math.nan, "stagger": math.nan}, _geometric),
    "exponential": ({"start": 0.15, "decay": 0.95}, _exponential),
    "inverse": ({"scale": 1.0}, _inverse),
    "constant": ({"size": math.nan}, _constant),
    "wavefront": ({"spikes": 8.0, "reach": REACH, "ratio": math.nan}, _wavefront),
}
