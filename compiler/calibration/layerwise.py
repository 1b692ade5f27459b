"""Amplitudes fitted layer by layer: for each neuron those that leave the least error after T steps.

A neuron is judged on what arrives: its f at every step, made of the events of the neurons before it, which are fitted
already. Its error is v(T) minus the ANN's activation, so that it also makes up for what it inherits.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spikec.calibration.channels import amplitude_shape
from spikec.calibration.descent import descend, follow
from spikec.calibration.in_time import Course, NetworkInTime
from spikec.calibration.observation import Observation, spread_of
from spikec.calibration.sampling import Sample, draw
from spikec.dead_zones import kind_of
from spikec.lowering.network import Neuron, unread_by_neurons

Tensor = torch.Tensor
ENOUGH = 1000  # values of a channel: fewer do not tell its range, and data not seen would lie beyond it
SILENT = 0.1  # of the tensor's largest amplitude: what a channel that was never seen active gets at least


@dataclass
class Fitted:
    """One neuron: amplitude, initial value and offset for each channel, (C,).

    ``offset`` is added to what the neurons behind start from, against the mean error; ``error`` is the relative L2
    distance of v(T) from the ANN's activation, before that.
    """

    amplitude: Tensor
    initial: Tensor
    offset: Tensor
    error: float


class LayerwiseFit:
    """Fits one network for one set of tables."""

    def __init__(
        self,
        in_time: NetworkInTime,
        schedules: Mapping[str, np.ndarray],
        dead_zones: Mapping[str, np.ndarray],
        seen: Observation,
        shares: np.ndarray,
        correction: float = 0.0,
        is_scaled: Callable[[str], bool] = lambda function: True,
        starts: Collection[str] = (),
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """``schedules``, ``dead_zones``: eta(t), theta(t) by neuron; ``shares``: of the range, tried as amplitude.

        Neurons whose function is not ``is_scaled`` keep the amplitude 1. ``starts``: kinds of neurons whose channels
        start from their mean where that leaves less error. ``progress`` is told (neurons fitted, in all).
        """
        self.in_time, self.seen, self.is_scaled, self.progress = in_time, seen, is_scaled, progress
        self.starts = starts
        self.correction, self.free = correction, unread_by_neurons(in_time.network)
        self.shares = shares
        self.tables = {n: (torch.tensor(table), torch.tensor(dead_zones[n])) for n, table in schedules.items()}
        self.fitted: dict[str, Fitted] = {}

    def fit(self, batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, list[Course]]:
        """Fit every neuron on ``batches``; the courses of the network's outputs come back."""
        self.fitted = {}
        return self.in_time.run(batches, self._fire)

    def run(self, batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, list[Course]]:
        """The courses of the network's outputs as it was fitted, on other data."""
        return self.in_time.run(batches, self._follow)

    def _fire(self, neuron: Neuron, courses: list[Course]) -> list[Course]:
        if neuron.coding != "float":
            self.fitted[neuron.name] = self._best(neuron, draw(courses, self.seen.statistics[neuron.output].axis))
        self.progress(len(self.fitted), len(self.in_time.network.neurons))
        return self._follow(neuron, courses)

    def _best(self, neuron: Neuron, sample: Sample) -> Fitted:
        """The candidate of least squared error: channel by channel, or one for all where little of each was seen."""
        alike = self.seen.statistics[neuron.output].count < ENOUGH
        amplitudes, initials = self._candidates(neuron, alike)
        *_, v = descend(sample.course, initials[:, :, None], amplitudes[:, :, None], *self.tables[neuron.name])
        errors = (((v - sample.target) ** 2) * sample.weight).sum(-1)  # (candidates, C)
        least = (errors.sum(1, keepdim=True).expand_as(errors) if alike else errors).argmin(dim=0, keepdim=True)
        mean = ((v - sample.target) * sample.weight).sum(-1) / sample.weight.sum(-1)
        share = self.correction if neuron.name in self.free and not alike else 0.0
        offset = -share * mean.gather(0, least)[0]
        power = ((sample.target**2) * sample.weight).sum()
        relative = float((errors.gather(0, least).sum() / power.clamp_min(1e-30)).sqrt())
        return Fitted(amplitudes.gather(0, least)[0], initials.gather(0, least)[0], offset, relative)

    def _candidates(self, neuron: Neuron, alike: bool) -> tuple[Tensor, Tensor]:
        """Amplitudes and initial values to try, (candidates, C) each; ``alike``: no channel has its own range."""
        stats, initial = self.seen.statistics[neuron.output], self.seen.initial[neuron.output]
        starts = [initial, stats.mean] if kind_of(neuron) in self.starts and not alike else [initial]
        tops = np.stack([spread_of(stats, start) for start in starts])  # how far f goes from there
        least = (1.0 if alike else SILENT) * tops.max(axis=1, keepdims=True)
        ranges = np.maximum(tops, least) if self.is_scaled(neuron.function) else np.ones_like(tops)
        shares = self.shares if self.is_scaled(neuron.function) else np.ones(1)
        amplitudes = (shares[:, None, None] * ranges).reshape(-1, ranges.shape[1])
        initials = np.tile(np.stack(starts), (len(shares), 1))
        return torch.from_numpy(amplitudes.astype(np.float32)), torch.from_numpy(initials.astype(np.float32))

    def _follow(self, neuron: Neuron, courses: list[Course]) -> list[Course]:
        """The neuron's own course with the settings it was fitted with."""
        eta, theta = self.tables[neuron.name]
        if neuron.coding == "float":
            return [[course[0], *follow(course[1:] or course, eta)] for course in courses]
        fitted, stats = self.fitted[neuron.name], self.seen.statistics[neuron.output]
        shape = () if stats.axis is None else amplitude_shape(stats.axis, stats.rank, len(fitted.amplitude))
        initial, amplitude, offset = (x.reshape(shape) for x in (fitted.initial, fitted.amplitude, fitted.offset))
        return [
            [course[0], *(v + offset for v in descend(course[1:] or course, initial, amplitude, eta, theta))]
            for course in courses
        ]
