"""What a report tells, gathered from the files themselves: the check, where its error comes from, what it costs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx

from spikec.calibration import signature
from spikec.checking import CheckResult, Request
from spikec.checking.streams import open_stream
from spikec.errors import ModelError, UsageError
from spikec.explaining import Explanation, explain
from spikec.explaining.tracing import Told
from spikec.frontends import Source, load_model
from spikec.ledger import Ledger, ledger
from spikec.reporting.graphs import Count, count, step_count
from spikec.runtime import ArtifactError, InputError, Session, read_model

SAMPLES = 32  # that errors by layer, events and energy are measured on


@dataclass
class Content:
    """Everything on the page.

    Attributes:
        result: of the check, on all samples.
        before, after: nodes of the source, and of one time step of the artifact.
        explanation: figures of every neuron over time, None where they cannot be had.
        ledger: what a sample costs, None likewise.
        spikes: events of the first sample by layer, (T, neurons) of -1, 0 and +1.
        samples: how many the last three come from.
        notes: why something is missing.
    """

    result: CheckResult
    before: Count
    after: Count
    samples: int
    explanation: Explanation | None = None
    ledger: Ledger | None = None
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def gather(request: Request, result: CheckResult, told: Told = lambda stage, done, total: None) -> Content:
    """Look into the artifact of a check that was carried out, on the first samples of its data.

    Args:
        request: the check.
        result: what it found.
        told: (what is done, so far, in all).

    Raises:
        UsageError: the data does not fit.
    """
    source = request.model if isinstance(request.model, Source) else load_model(request.model)
    artifact = read_model(request.artifact)
    feeds = _first(request, source.model)
    samples = len(next(iter(feeds.values())))
    content = Content(result, count(source.model.graph.node), step_count(artifact), samples)

    def explained() -> None:
        content.explanation = explain(source.model, artifact, feeds, progress=told)

    def counted() -> None:
        content.ledger = ledger(artifact, feeds, progress=lambda done, total: told("counting energy", done, total))

    def watched() -> None:
        content.spikes = _events(artifact, {name: value[:1] for name, value in feeds.items()})

    _where_possible(content, "errors by layer", explained)
    _where_possible(content, "energy", counted)
    _where_possible(content, "spikes", watched)
    return content


def _where_possible(content: Content, what: str, do: Callable[[], None]) -> None:
    """A part that an artifact cannot give is missing from the page, which says why."""
    try:
        do()
    except (ModelError, ArtifactError, InputError, UsageError) as error:
        content.notes.append(f"{what}: {error}")


def _first(request: Request, model: onnx.ModelProto) -> dict[str, np.ndarray]:
    stream = open_stream(request.where, signature(model))
    batch = next(stream.batches(min(SAMPLES, stream.samples), lambda index: index == 0))
    return batch.feeds


def _events(artifact: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(T, neurons) by layer."""
    found: dict[str, list[np.ndarray]] = {}
    for step in Session(artifact, precision="float32").stream(feeds):
        for name, spikes in step.spikes.items():
            found.setdefault(name, []).append(np.sign(spikes).astype(np.int8).ravel())
    return {name: np.stack(rows) for name, rows in found.items()}
