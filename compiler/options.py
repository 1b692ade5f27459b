"""What a user can choose, with the presets."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

from spikec.dead_zones import parse_early
from spikec.errors import UsageError
from spikec.initial_values import fitted_kinds

MOST_STEPS = 4096  # beyond this a schedule's last steps are below float32's resolution of the sum

_CHOICES: dict[str, tuple[str, ...]] = {
    "dynamics": ("signgd", "subgradient"),
    "coding": ("direct", "float", "spike"),
    "granularity": ("composite", "strict"),
    "form": ("loop", "unrolled", "step"),
    "ranges": ("every", "relu"),
    "range_per": ("tensor", "channel"),
    "quantisation": ("staircase", "drop"),
    "readout": ("plain", "affine"),
}


@dataclass(frozen=True)
class Options:
    """Settings of one compilation.

    Attributes:
        steps: number of time steps T.
        dynamics: ``signgd`` (sign gradient descent) or ``subgradient`` (integrate-and-fire, ReLU networks only).
        schedule: step sizes eta(t), as ``NAME`` or ``NAME:key=value,...``; see ``spikec.schedules``. The subgradient
            dynamics has its own, 1/(t+1), and ignores this.
        dead_zone: theta: a signGD neuron is silent where |v - f| <= theta*eta*a; 0 makes it binary, as in the paper.
        early_dead_zone: theta before the last step for some kinds of neurons, as ``KIND=theta,...``.
        coding: how the input enters: ``direct`` (constant current), ``float`` (graded events) or ``spike``.
        granularity: ``composite`` (a neuron may hold a row or a window) or ``strict`` (elementwise neurons only).
        form: of the artifact, ``loop``, ``unrolled`` or ``step``.
        ranges: which neurons are scaled by their calibrated range: ``every``, or ``relu`` (amplitude 1 elsewhere).
        range_rule: the amplitude: ``max`` or ``percentile:P`` of |f - v(0)| over the calibration data, or ``fit``:
            layer by layer, the one that leaves the least squared error after T steps (signGD; else as ``max``), from
            a share of the maximum on that grows with T, or from S on: ``fit:S``.
        range_per: one amplitude for a ``tensor`` or one for each ``channel``.
        initial: v(0): ``zero``, the calibrated ``mean``, or ``fit``: for each channel the one of them that leaves the
            smaller error, found with the amplitudes (``zero`` where these are not fitted, and for all of them where
            that saves outputs which end far off); ``fit:KIND,...`` for neurons of these kinds only. See
            ``spikec.initial_values``.
        quantisation: what the quantised activations of a QDQ model become: ``staircase`` neurons, or ``drop``, nothing
            (but for the clipping of a quantiser that holds a Relu), which changes the outputs; a warning says how far.
        correction: share of the mean error of each channel, as a fit finds it, that is added to what the neurons behind
            start from; 0 to 1.
        readout: of the outputs: ``plain``, or ``affine``: a scale and an offset, fitted to the calibration data for
            this T, bring them nearer to the ANN's (needs signGD and a fit).
        seed: of the random input that stands in where no calibration data is given.
    """

    steps: int = 32
    dynamics: str = "signgd"
    schedule: str = "geometric"
    dead_zone: float = 0.5
    early_dead_zone: str = ""
    coding: str = "direct"
    granularity: str = "composite"
    form: str = "loop"
    ranges: str = "every"
    range_rule: str = "max"
    range_per: str = "tensor"
    initial: str = "zero"
    quantisation: str = "staircase"
    correction: float = 0.0
    readout: str = "plain"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_numbers()
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise UsageError(f"{name} is '{value}'; choose one of {', '.join(allowed)}")
        if self.dynamics == "subgradient" and self.coding == "spike":
            raise UsageError(
                "input coding 'spike' needs signed events, which the subgradient dynamics does not have; "
                "use coding 'direct' or 'float'"
            )
        if self.dynamics == "subgradient" and self.initial == "mean":
            raise UsageError("the subgradient dynamics starts from v(0) = 0; use initial 'zero'")
        if not isinstance(self.schedule, str):
            raise UsageError(f"the schedule is {self.schedule}; write NAME or NAME:key=value,...")
        percentile(self.range_rule)
        parse_early(self.early_dead_zone)
        fitted_kinds(self.initial)
        if self.readout == "affine" and (self.dynamics != "signgd" or not is_fit(self.range_rule)):
            raise UsageError(
                "the affine readout is fitted after the amplitudes: use the dynamics signgd with --range-rule fit, or "
                "--readout plain"
            )

    def _check_numbers(self) -> None:
        if not _is_number(self.steps, Integral) or not 1 <= self.steps <= MOST_STEPS:
            raise UsageError(f"steps is {self.steps}; it must be a whole number from 1 to {MOST_STEPS}")
        if not _is_number(self.seed, Integral) or self.seed < 0:
            raise UsageError(f"seed is {self.seed}; it must be a whole number from 0 on")
        if not _is_number(self.dead_zone, Real) or not 0 <= self.dead_zone < 1:
            raise UsageError(f"the dead zone is {self.dead_zone}; it must be a number from 0 to below 1")
        if not _is_number(self.correction, Real) or not 0 <= self.correction <= 1:
            raise UsageError(f"the correction is {self.correction}; it must be a number from 0 to 1")
        for name, kind in (("steps", int), ("seed", int), ("dead_zone", float), ("correction", float)):
            object.__setattr__(self, name, kind(getattr(self, name)))  # JSON knows no numbers of numpy's

    def scales(self, function: str) -> bool:
        """Whether neurons of this ``function`` have an amplitude other than 1."""
        return self.ranges == "every" or function == "Relu"

    def as_dict(self) -> dict[str, Any]:
        """All settings by name."""
        return asdict(self)


def _is_number(value: Any, kind: type) -> bool:
    """Whether ``value`` is a number of that kind, be it Python's or numpy's; booleans are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def percentile(rule: str) -> float:
    """The percentile that a range rule asks for: 100 for ``max``, and for ``fit``, which starts from there."""
    if rule == "max" or is_fit(rule):
        return 100.0
    name, _, number = rule.partition(":") if isinstance(rule, str) else ("", "", "")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if name != "percentile" or not 0 < value <= 100:
        raise UsageError(
            f"range rule is '{rule}'; write fit, fit:S with S above 0 and up to 1, max, or percentile:P with P above 0 "
            "and up to 100"
        )
    return value


def is_fit(rule: str) -> bool:
    """Whether a range rule is ``fit`` or ``fit:S`` with a share S above 0 and up to 1."""
    if rule == "fit" or not isinstance(rule, str):
        return rule == "fit"
    name, _, number = rule.partition(":")
    try:
        return name == "fit" and 0 < float(number) <= 1
    except ValueError:
        return False


def least_share(rule: str, steps: int) -> float:
    """The smallest amplitude, as share of the maximum, that a range rule ``fit`` or ``fit:S`` tries for T ``steps``.

    Few steps gain more from resolution than they lose by cutting off the largest values; with many, the quantisation
    error is so small that what was cut off, on data not seen here, would be most of the error.
    """
    if rule == "fit":
        return float(min(0.9, max(0.2, steps / 19)))
    return float(rule.partition(":")[2])


PRESETS: dict[str, Options] = {
    "default": Options(
        range_rule="fit", range_per="channel", initial="fit", early_dead_zone="softmax=0.3", correction=0.5
    ),
    "paper": Options(schedule="exponential", dead_zone=0.0, coding="float", granularity="strict", ranges="relu"),
}


def check_names(chosen: Iterable[str]) -> None:
    """Refuse settings that are not there."""
    unknown = set(chosen) - {field.name for field in fields(Options)}
    if unknown:
        raise UsageError(f"unknown option {', '.join(sorted(unknown))}; see spikec.Options for the names")


def from_preset(preset: str, **chosen: Any) -> Options:
    """The options of a preset with the settings in ``chosen`` that are not None put over them."""
    if not isinstance(preset, str) or preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}'; choose one of {', '.join(PRESETS)}")
    check_names(chosen)
    return replace(PRESETS[preset], **{name: value for name, value in chosen.items() if value is not None})
