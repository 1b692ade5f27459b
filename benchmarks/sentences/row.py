"""What one configuration reaches: how near the embeddings come, and whether the same sentences are nearest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
import onnx
from scipy.stats import rankdata

from benchmarks.configuration import Configuration, Progress
from spikec.equivalence import relative_distance
from spikec.options import from_preset

BATCH = 20  # sentences evaluated at once

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Subject:
    """The trained network, tokens of calibration and test sentences, and what it says itself of the latter: (N, D)."""

    model: onnx.ModelProto
    calibration: Feeds
    test: Feeds
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.embeddings)


@dataclass
class Point:
    """After T steps: mean and lowest cosine between a sentence's two embeddings; Spearman's rank correlation of its
    similarities to all others, by the two networks (mean over sentences); the share of sentences whose nearest other is
    the same; relative L2 distance of all embeddings; the share of neurons x steps that sent an event; run time."""

    cosine: float
    lowest: float
    spearman: float
    nearest: float
    distance: float
    rate: float
    seconds: float


@dataclass
class Row:
    """All that is known of one configuration; ``points`` by T, ``seconds`` for the preparation that all T share."""

    what: str
    points: dict[int, Point]
    settings: dict[str, Any]
    seconds: float
    tools: dict[str, str]
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Row":
        """The inverse of ``as_dict``."""
        return cls(**{**raw, "points": {int(t): Point(**point) for t, point in raw["points"].items()}})


def measure(
    configuration: Configuration, subject: Subject, times: Sequence[int], tools: Mapping[str, str], progress: Progress
) -> Row:
    """Calibrate once, compile for each T, and run the test sentences; progress is in sentences x steps."""
    import spikec

    start = perf_counter()
    prepared = spikec.prepare(
        subject.model, calibration=dict(subject.calibration), preset=configuration.preset, **configuration.chosen
    )
    seconds, points, before, total = perf_counter() - start, {}, 0, sum(times) * len(subject)
    for t in times:
        points[t] = _point(prepared.compile(steps=t).model, subject, t, _later(progress, before, t, total))
        before += t * len(subject)
    settings = from_preset(configuration.preset, **configuration.chosen).as_dict()
    return Row(configuration.what, points, {**settings, "steps": list(times)}, seconds, dict(tools))


def score(embeddings: np.ndarray, reference: np.ndarray, rate: float, seconds: float) -> Point:
    """The figures of one set of embeddings (N, D) against the trained network's."""
    cosine = np.sum(_unit(embeddings) * _unit(reference), axis=1)
    mine, its = similarities(embeddings), similarities(reference)
    return Point(
        cosine=float(cosine.mean()),
        lowest=float(cosine.min()),
        spearman=float(spearman(mine, its).mean()),
        nearest=float(np.mean(mine.argmax(axis=1) == its.argmax(axis=1))),
        distance=relative_distance(embeddings, reference),
        rate=rate,
        seconds=seconds,
    )


def similarities(embeddings: np.ndarray) -> np.ndarray:
    """(N, N - 1): the cosine of each sentence to all others, in their order."""
    count, unit = len(embeddings), _unit(embeddings)
    others = ~np.eye(count, dtype=bool)
    return np.asarray((unit @ unit.T)[others].reshape(count, count - 1))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row of ``a`` with that of ``b``; 0 where all values of a row are equal."""
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (rankdata(a, axis=1), rankdata(b, axis=1)))
    norms = np.sqrt(np.sum(first**2, axis=1) * np.sum(second**2, axis=1))
    return np.divide(np.sum(first * second, axis=1), norms, out=np.zeros(len(a)), where=norms > 0)


def _point(artifact: onnx.ModelProto, subject: Subject, steps: int, progress: Progress) -> Point:
    from spikec.runtime import Session

    start = perf_counter()
    result = Session(artifact).run(dict(subject.test), steps, batch_size=BATCH, progress=progress)
    (embeddings,) = result.final.values()
    return score(embeddings, subject.embeddings, result.rate, perf_counter() - start)


def _later(progress: Progress, before: int, steps: int, total: int) -> Progress:
    """Progress of one run as that of all."""
    return lambda done, sentences: progress(before + done * steps, total)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
