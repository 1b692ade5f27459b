"""The rows of spikec itself."""

import math
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import torch

import spikec
from benchmarks.accuracy.row import Point, Row, score, versions
from benchmarks.accuracy.subject import BATCH, Subject
from benchmarks.accuracy.synapses import Synapses
from benchmarks.configuration import Configuration, Progress
from spikec.runtime import Session
from spikec.runtime.torch_graph import full_precision

TRIALS, MOST_TUNED = 32, 32  # with more steps there is little left to gain

CONFIGURATIONS = (
    Configuration("default", "the default preset"),
    Configuration(
        "tuned",
        f"the tuner, {TRIALS} trials for each T up to {MOST_TUNED}, and the affine readout",
        chosen={"readout": "affine"},
        trials=TRIALS,
    ),
    Configuration("strict", "the default preset, elementwise neurons only", chosen={"granularity": "strict"}),
    Configuration("paper", "the preset paper: eta(t) = 0.15 * 0.95^t, float coding, ranges of ReLU only", "paper"),
    Configuration(
        "subgradient-max",
        "integrate-and-fire dynamics, eta(t) = 1/(t+1), range max",
        chosen={"dynamics": "subgradient", "range_rule": "max", "range_per": "tensor", "initial": "zero"},
    ),
    Configuration(
        "subgradient-99.9",
        "integrate-and-fire dynamics, eta(t) = 1/(t+1), range percentile:99.9",
        chosen={"dynamics": "subgradient", "range_rule": "percentile:99.9", "range_per": "tensor", "initial": "zero"},
    ),
)


def measure(configuration: Configuration, subject: Subject, times: Sequence[int], progress: Progress) -> Row:
    """Prepare once, calibrating on the calibration images alone, compile for each T, and run the test images.

    Raises:
        ModelError: the network cannot be converted so.
    """
    start, calibration = perf_counter(), {subject.input: subject.images.calibration}
    prepared = spikec.prepare(
        subject.model, calibration=calibration, preset=configuration.preset, **configuration.chosen
    )
    synapses = Synapses.of(prepared.levels.neurons, {subject.input: subject.images.test[:1]})
    times = [t for t in times if t <= MOST_TUNED or not configuration.trials]
    points, before, total = {}, 0, sum(times) * len(subject.images.test)
    for t in times:
        artifact = _artifact(prepared, configuration, t)
        points[t] = _point(artifact, synapses, subject, t, _later(progress, before, t, total))
        before += t * len(subject.images.test)
    settings = {**prepared.options.as_dict(), "steps": list(times)}
    tools = {**versions(), **({} if subject.device == "cpu" else {"on": torch.cuda.get_device_name(subject.device)})}
    return Row(configuration.what, points, settings, seconds=perf_counter() - start, tools=tools)


def _artifact(prepared: spikec.Prepared, configuration: Configuration, steps: int) -> spikec.Artifact:
    if not configuration.trials:
        return prepared.compile(steps=steps)
    return prepared.compile(tuning=prepared.tune(steps=steps, budget=math.inf, trials=configuration.trials))


def _point(artifact: spikec.Artifact, synapses: Synapses, subject: Subject, steps: int, progress: Progress) -> Point:
    with full_precision(torch.device(subject.device)):
        session = Session(artifact.model, device=subject.device)
        result = session.run(subject.images.test, steps, batch_size=BATCH, progress=progress)
    (logits,) = result.final.values()
    events = {name: count.rate * steps for name, count in result.spikes.items()}
    return score(np.asarray(logits), result.rate, synapses.operations(events), subject)


def _later(progress: Progress, before: int, steps: int, total: int) -> Progress:
    """Progress of one run as that of all: in images x steps."""
    return lambda done, images: progress(before + done * steps, total)
