"""What one configuration of a benchmark reaches: accuracy, agreement, distance and spike rate over time steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx

from benchmarks.datasets import Images
from spikec.equivalence import relative_distance
from spikec.onnx_session import open_session, run_session
from spikec.options import from_preset

TIMES = (8, 16, 32, 64)
BATCH = 64  # images evaluated at once
_TOOLS = ("spikec", "torch", "onnxruntime", "onnx", "numpy")

Progress = Callable[[int, int], None]  # told (done, in all)


@dataclass(frozen=True)
class Configuration:
    """A preset with settings put over it. ``one_run``: its schedule does not depend on T, so one run serves every T."""

    name: str
    what: str
    preset: str = "default"
    chosen: Mapping[str, Any] = field(default_factory=dict)
    one_run: bool = False


@dataclass(frozen=True)
class Subject:
    """The trained network, its images, and what it says of the test images itself (computed by onnxruntime)."""

    path: Path
    images: Images
    logits: np.ndarray

    @classmethod
    def of(cls, path: Path, images: Images) -> "Subject":
        """Run the network in ``path`` on the test images."""
        session = open_session(onnx.load(path))
        name = session.get_inputs()[0].name
        starts = range(0, len(images.test), BATCH)
        parts = [run_session(session, {name: images.test[i : i + BATCH]}) for i in starts]
        return cls(path, images, np.concatenate([next(iter(part.values())) for part in parts]))

    @property
    def accuracy(self) -> float:
        """Share of the test images that it gets right."""
        return float(np.mean(self.logits.argmax(axis=1) == self.images.labels))


@dataclass
class Point:
    """After T steps: accuracy, agreement with the trained network's answer, relative L2 distance of all logits, and the
    share of neurons x steps that sent an event (None where a longer run served this T too and counted on)."""

    accuracy: float
    agreement: float
    distance: float
    rate: float | None


@dataclass
class Row:
    """All that is known of one configuration; ``points`` by T."""

    what: str
    points: dict[int, Point]
    settings: dict[str, Any]
    seconds: float
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    tools: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _TOOLS})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Row":
        """The inverse of ``as_dict``."""
        return cls(**{**raw, "points": {int(t): Point(**point) for t, point in raw["points"].items()}})


def score(logits: np.ndarray, rate: float | None, subject: Subject) -> Point:
    """The figures of one set of logits."""
    answers = logits.argmax(axis=1)
    return Point(
        accuracy=float(np.mean(answers == subject.images.labels)),
        agreement=float(np.mean(answers == subject.logits.argmax(axis=1))),
        distance=relative_distance(logits, subject.logits),
        rate=rate,
    )


def measure(configuration: Configuration, subject: Subject, progress: Progress) -> Row:
    """Compile for each T, calibrating on the calibration images alone, and run the test images."""
    runs: list[Sequence[int]] = [TIMES] if configuration.one_run else [(t,) for t in TIMES]
    ends = list(accumulate(times[-1] * len(subject.images.test) for times in runs))
    points: dict[int, Point] = {}
    start = perf_counter()
    for times, before in zip(runs, [0, *ends], strict=False):
        points |= _run(configuration, subject, times, partial(_advance, progress, before, times[-1], ends[-1]))
    settings = from_preset(configuration.preset, **configuration.chosen).as_dict()
    return Row(configuration.what, points, {**settings, "steps": list(TIMES)}, perf_counter() - start)


def _advance(progress: Progress, before: int, steps: int, total: int, done: int, images: int) -> None:
    """Progress of one run as that of all: in images x steps."""
    progress(before + done * steps, total)


def _run(configuration: Configuration, subject: Subject, times: Sequence[int], progress: Progress) -> dict[int, Point]:
    import spikec
    from spikec.runtime import Session

    artifact = spikec.compile(
        subject.path,
        calibration=subject.images.calibration,
        preset=configuration.preset,
        steps=times[-1],
        **configuration.chosen,
    )
    result = Session(artifact.model).run(subject.images.test, times, batch_size=BATCH, progress=progress)
    rates = {times[-1]: result.rate}
    return {t: score(next(iter(o.values())), rates.get(t), subject) for t, o in result.outputs.items()}
