"""The error of every neuron of a network at every step: how what is wrong at first travels through the depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import spikec
from benchmarks.accuracy.subject import BATCH, Subject
from spikec.calibration.fitting import affordable, run_fit
from spikec.calibration.in_time import Course, Fire, NetworkInTime
from spikec.lowering.depth import relative_depths
from spikec.lowering.network import Neuron
from spikec.tables import tables_of


@dataclass(frozen=True)
class Line:
    """A neuron node, or the output of the network: its relative depth, and its distance from the ANN after each step.

    Distances are relative L2, |v(t) - f| / |f| over a batch of test samples, f being the ANN's activation.
    """

    name: str
    depth: float
    distances: list[float]


class Watched(NetworkInTime):
    """A network in time that notes what its neurons send."""

    def run(self, batches: Sequence[Mapping[str, np.ndarray]], fire: Fire) -> dict[str, list[Course]]:
        """As it is run otherwise; ``distances`` by neuron afterwards."""
        self.distances: dict[str, list[float]] = {}

        def watch(neuron: Neuron, courses: list[Course]) -> list[Course]:
            sent = fire(neuron, courses)
            self.distances[neuron.name] = distances(sent)
            return sent

        return super().run(batches, watch)


def lines(subject: Subject, steps: int, schedule: str) -> list[Line]:
    """Every neuron in topological order, then the output: the default preset with that ``schedule``, T = ``steps``."""
    data = {subject.input: subject.images.calibration}
    prepared = spikec.prepare(subject.model, calibration=data, steps=steps, schedule=schedule)
    watched, options = Watched(prepared.network), prepared.options
    tables = tables_of(prepared.network, options)
    batches = affordable(watched, prepared.data, steps, prepared.fixed_batch)
    fit, _ = run_fit(watched, options, tables, prepared.seen, batches)
    (output,) = fit.run([{subject.input: subject.images.test[:BATCH]}]).values()
    depths = relative_depths(prepared.network)
    return [
        *(Line(name, depths[name], d) for name, d in watched.distances.items()),
        Line("output", 1.0, distances(output)),
    ]


def distances(courses: Sequence[Course]) -> list[float]:
    """Relative L2 distance of each step from the ANN, over all batches."""
    power = sum(float(course[0].square().sum()) for course in courses)
    errors = [
        sum(float((course[t] - course[0]).square().sum()) for course in courses) for t in range(1, len(courses[0]))
    ]
    return [float(np.sqrt(error / max(power, 1e-30))) for error in errors]
