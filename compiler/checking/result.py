"""What a check found: all that the reports say, and more for those who build on it."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from spikec.checking.tally import Disagreement
from spikec.checking.verdict import FAILED, Measurement

SCHEMA_VERSION = 1
GOOD, BAD, ERROR = "passed", "failed", "error"
_TOOLS = ("spikec", "numpy", "onnx", "onnxruntime", "pillow", "torch")


@dataclass(frozen=True)
class File:
    """A model or an artifact; of what could not be read only the name is known."""

    name: str
    sha256: str | None = None


@dataclass(frozen=True)
class Data:
    """The samples."""

    origin: str
    samples: int | None = None
    labels: bool | None = None


@dataclass(frozen=True)
class Spikes:
    """Events of a neuron node up to the last of the steps, and the slots (neurons x samples x steps) for them."""

    name: str
    events: int
    slots: int


@dataclass(frozen=True)
class Timing:
    """Seconds in all, and of the slowest process in each part."""

    seconds: float = 0.0
    ann_seconds: float = 0.0
    snn_seconds: float = 0.0
    data_seconds: float = 0.0
    processes: int = 1


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check.

    Attributes:
        status: ``passed``, ``failed`` (a threshold was missed), or ``error`` (it could not be carried out).
        reason: of a failure or an error, else empty.
        exit_code: what the command line ends with.
        requested: engine and provider as asked for, ``actual`` as they were.
        artifact_steps: the artifact's T; ``steps`` are those that were looked at.
        seed: of the artifact's compilation; a check draws no random numbers.
        thresholds: the file they come from, or ``built in``.
        disagreements: up to 24 samples of different classes after the last of the steps; not part of the reports.
    """

    status: str
    reason: str
    exit_code: int
    command: str
    model: File
    artifact: File
    data: Data
    requested: dict[str, Any]
    actual: dict[str, str] | None = None
    seed: int | None = None
    artifact_steps: int | None = None
    steps: tuple[int, ...] = ()
    thresholds: str = ""
    measurements: tuple[Measurement, ...] = ()
    spikes: tuple[Spikes, ...] = ()
    warnings: tuple[str, ...] = ()
    timing: Timing = field(default_factory=Timing)
    tools: dict[str, str] = field(default_factory=lambda: tools())
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def failures(self) -> list[str]:
        """A sentence for each threshold that was missed."""
        return [row.failure for row in self.measurements if row.verdict == FAILED]

    def as_dict(self) -> dict[str, Any]:
        """For the JSON report; see ``schema.json``."""
        found = {name: value for name, value in vars(self).items() if name not in ("timing", "disagreements")}
        found |= {name: asdict(value) for name, value in found.items() if name in ("model", "artifact", "data")}
        found |= {name: [asdict(row) for row in getattr(self, name)] for name in ("measurements", "spikes")}
        found |= {"steps": list(self.steps), "warnings": list(self.warnings)}
        timing = asdict(self.timing)
        return {"schema_version": SCHEMA_VERSION, **found, "failures": self.failures, "timing": timing}


def outcome(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Status, reason and exit code of judged measurements."""
    failures = [row.failure for row in measurements if row.verdict == FAILED]
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    reason = f"{failures[0]}{more}" if failures else ""
    return {"status": BAD if failures else GOOD, "reason": reason, "exit_code": 1 if failures else 0}


def tools() -> dict[str, str]:
    """Versions of what a check rests on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _TOOLS}}
