"""Measured values beside what was asked for: what passed, what failed, and which thresholds would have passed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from spikec.checking.kinds import BEST
from spikec.checking.tally import Tally
from spikec.checking.threshold_keys import BY_METRIC, KEYS, Key
from spikec.checking.thresholds import BUILT_IN, BUILT_IN_ORIGIN, Identity, Line, Scope, Thresholds
from spikec.errors import UsageError

PASSED, FAILED, SKIPPED, FREE = "passed", "failed", "skipped", "free"  # free: no threshold asks for it
_DIGITS = 6


@dataclass(frozen=True)
class Measurement:
    """One metric of one output (None: the whole network) after ``steps`` steps.

    Attributes:
        value: None where there is none, ``note`` says why.
        key: the threshold that bounds this metric, None for metrics that none does.
        threshold: its value, None where it is not asked for; ``origin`` is the table that it stands in.
        verdict: ``passed``, ``failed``, ``skipped`` (asked for and not measured), or ``free``.
        would_pass: the tightest threshold of six digits that would have passed.
    """

    output: str | None
    steps: int
    kind: str | None
    metric: str
    value: float | None
    key: str | None = None
    threshold: float | None = None
    origin: str | None = None
    verdict: str = FREE
    would_pass: float | None = None
    note: str | None = None

    @property
    def where(self) -> str:
        """For messages: ``agreement of 'y' after 16 steps``."""
        of = f" of '{self.output}'" if self.output is not None else ""
        return f"{self.metric}{of} after {self.steps} steps"

    @property
    def failure(self) -> str:
        """For messages: what was measured, and what was asked for."""
        side = "below" if self.key is not None and KEYS[self.key].least else "above"
        return f"{self.where} is {self.value:.6g}, {side} {self.key} = {self.threshold:g} ({self.origin})"


def measured(tally: Tally) -> list[Measurement]:
    """What a tally holds, without thresholds: step by step, output by output, the spike rate at the end."""
    steps = sorted({steps for steps, _ in tally.found})
    found = [
        Measurement(output, t, kind, metric, value)
        for t in steps
        for output, kind in tally.kinds.items()
        for metric, value in tally.values(t, output).items()
    ]
    return [*found, Measurement(None, steps[-1], None, "spike_rate", tally.spike_rate)]


def judge(
    values: Sequence[Measurement], thresholds: Thresholds, identity: Identity, *, whole: int, labels: bool
) -> list[Measurement]:
    """The measurements with their thresholds and verdicts, behind them what was asked for and not measured.

    Args:
        values: as ``measured`` gives them, or judged before.
        thresholds: what is asked for.
        identity: the network's.
        whole: the artifact's T, at which built-in thresholds count.
        labels: whether the data has labels.

    Raises:
        UsageError: a threshold can never be met here (it asks for labels, or for what its output has not), or none at
            all applies.
    """
    origin = BUILT_IN_ORIGIN if thresholds.origin == BUILT_IN_ORIGIN else None
    judged = [
        _judged(row, row.value, _line(row, thresholds, identity, whole), origin)
        for row in values
        if row.value is not None
    ]
    skipped = list(_skipped(judged, thresholds, identity, labels))
    if not any(row.verdict in (PASSED, FAILED) for row in judged):
        steps = ", ".join(map(str, sorted({row.steps for row in judged})))
        way_out = f"ask for --steps {whole}" if thresholds.origin == BUILT_IN_ORIGIN else "write one under [defaults]"
        raise UsageError(
            f"no threshold ({thresholds.origin}) applies after {steps} steps, nothing is checked; {way_out}"
        )
    return judged + skipped


def _line(row: Measurement, thresholds: Thresholds, identity: Identity, whole: int) -> Line | None:
    """The line that counts for a metric at its output and steps."""
    key = BY_METRIC.get(row.metric)
    if key is None:
        return None
    if thresholds.origin != BUILT_IN_ORIGIN:
        return thresholds.find(key.name, identity, row.output if key.kinds else None, row.steps)
    if row.kind is None or row.steps != whole or BUILT_IN[row.kind][0] != key.name:
        return None
    return Line(Scope(), *BUILT_IN[row.kind])


def _judged(row: Measurement, value: float, line: Line | None, origin: str | None) -> Measurement:
    key = BY_METRIC.get(row.metric)
    if key is None:
        return row
    row = replace(row, key=key.name, would_pass=tightest(value, key))
    if line is None:
        return replace(row, threshold=None, origin=None, verdict=FREE)
    verdict = PASSED if key.met(value, line.value) else FAILED
    return replace(row, threshold=float(line.value), origin=origin or str(line.scope), verdict=verdict)


def _skipped(
    judged: Sequence[Measurement], thresholds: Thresholds, identity: Identity, labels: bool
) -> Iterator[Measurement]:
    """What a file asks for and these outputs do not have."""
    present = {(row.output, row.steps, row.metric) for row in judged}
    places = {(row.output, row.steps): row for row in judged if row.output is not None}
    networks = {(None, row.steps): replace(row, output=None, kind=None) for row in judged}
    for key in KEYS.values():
        for (output, steps), row in (places if key.kinds else networks).items():
            line = thresholds.find(key.name, identity, output, steps)
            if line is None or (output, steps, key.metric) in present:
                continue
            note = _why_not(key, row.kind, labels)
            if (key.labels and not labels) or line.scope.output is not None:
                raise UsageError(f"{thresholds.origin}: {line.scope}: {key.name} cannot be checked: {note}")
            bare = Measurement(output, steps, row.kind, key.metric, None, key.name, origin=str(line.scope))
            yield replace(bare, threshold=float(line.value), verdict=SKIPPED, note=note)


def _why_not(key: Key, kind: str | None, labels: bool) -> str:
    if key.labels and not labels:
        return "the data has no labels"
    if not key.kinds:
        return "spikes are counted up to the last of the steps only"
    if kind not in key.kinds:
        return f"{key.metric} is for outputs of kind {' or '.join(key.kinds)}, this one is of kind {kind}"
    return "the labels speak of another output" if key.labels else f"there are only {BEST} classes or fewer"


def tightest(value: float, key: Key) -> float:
    """The threshold of six significant digits nearest to ``value`` that it passes."""
    exact = Decimal(repr(value))
    if not exact:
        return 0.0
    unit = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    return float(exact.quantize(unit, ROUND_FLOOR if key.least else ROUND_CEILING)) + 0.0
