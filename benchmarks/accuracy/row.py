"""What one converter reaches on one network, by number of time steps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.accuracy.subject import Subject
from spikec.equivalence import relative_distance

TIMES = (2, 4, 8, 16, 32, 64)
_TOOLS = ("spikec", "torch", "onnxruntime", "onnx", "numpy")


def versions() -> dict[str, str]:
    """Of what a row depends on."""
    return {name: version(name) for name in _TOOLS}


@dataclass
class Point:
    """After T steps: accuracy, agreement with the trained network's answer, relative L2 distance of all logits, events
    per neuron and step, and synaptic operations per image (None where they cannot be counted)."""

    accuracy: float
    agreement: float
    distance: float
    rate: float
    operations: float | None


@dataclass
class Row:
    """All that is known of one converter on one network: ``points`` by T, or the ``reason`` why there are none."""

    what: str
    points: dict[int, Point] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    tools: dict[str, str] = field(default_factory=versions)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Row":
        """The inverse of ``as_dict``."""
        return cls(**{**raw, "points": {int(t): Point(**point) for t, point in raw["points"].items()}})


def score(logits: np.ndarray, rate: float, operations: float | None, subject: Subject) -> Point:
    """The figures of one set of logits (N, classes)."""
    answers = logits.argmax(axis=1)
    return Point(
        accuracy=float(np.mean(answers == subject.images.labels)),
        agreement=float(np.mean(answers == subject.logits.argmax(axis=1))),
        distance=relative_distance(logits, subject.logits),
        rate=rate,
        operations=operations,
    )
