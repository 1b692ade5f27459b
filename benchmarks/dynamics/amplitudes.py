"""Accuracy over T of one network for ways to choose the amplitudes."""

from collections.abc import Sequence

import numpy as np

import spikec
from benchmarks.accuracy.row import Point, score
from benchmarks.accuracy.subject import BATCH, Subject
from benchmarks.configuration import Configuration
from spikec.runtime import Session

CONFIGURATIONS = (
    Configuration(
        "max, tensor",
        "an amplitude for each tensor: the largest value seen",
        chosen={"range_rule": "max", "range_per": "tensor"},
    ),
    Configuration(
        "max, channel", "an amplitude for each channel: the largest value seen", chosen={"range_rule": "max"}
    ),
    Configuration(
        "fit, channel",
        "an amplitude for each channel, fitted layer by layer",
        chosen={"initial": "zero", "correction": 0.0},
    ),
    Configuration("fit + start", "the same, each channel starting from 0 or its mean", chosen={"correction": 0.0}),
    Configuration("fit + start, offset", "the same, with offsets against the mean error: the default preset"),
)


def measure(configuration: Configuration, subject: Subject, times: Sequence[int]) -> dict[int, Point]:
    """What the test images give after each of ``times`` steps; each T is a conversion of its own."""
    data = {subject.input: subject.images.calibration}
    prepared = spikec.prepare(subject.model, calibration=data, preset=configuration.preset, **configuration.chosen)
    points = {}
    for steps in times:
        result = Session(prepared.compile(steps=steps).model).run(subject.images.test, steps, batch_size=BATCH)
        (logits,) = result.final.values()
        points[steps] = score(np.asarray(logits), result.rate, None, subject)
    return points
