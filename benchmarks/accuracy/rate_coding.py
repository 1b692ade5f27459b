"""SpikingJelly's rate-coded conversions of ReLU networks, measured beside ours.

Every ``nn.ReLU`` becomes an integrate-and-fire neuron between two scalings by the layer's range, so that the threshold,
1 of the scaled membrane, is the range itself. The image is fed as a constant current at each step, the membrane starts
at 0 and is reset by subtraction, and the readout is the mean of the network's outputs. The range of a layer is the
maximum or a percentile (zeros included) of one batch; over several batches it would be a moving average of those, so
the calibration images are one batch there.

Local threshold balancing (Bu, Li & Yu, arXiv 2409.03368) raises a threshold per channel by twice the mean overflow of
each batch, starts the membrane at half the threshold, and its readout leaves out the steps that the first spikes need
to get through.
"""

import warnings
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.accuracy.row import Point, Row, score
from benchmarks.accuracy.spikingjelly_package import SpikeCounts, convert, operations, package, release, synapses_of
from benchmarks.accuracy.subject import BATCH, Subject
from benchmarks.configuration import Progress

ROWS = {
    "spikingjelly-max": "rate coding, range max",
    "spikingjelly-99.9": "rate coding, range 99.9%",
    "spikingjelly-ltb": "local threshold balancing, 50 passes over the calibration images, delayed readout",
}
_MODES = {"spikingjelly-max": "max", "spikingjelly-99.9": "99.9%"}
_PASSES = 50


def measure(name: str, subject: Subject, times: Sequence[int], progress: Progress) -> Row:
    """Convert the network as row ``name`` says and run the test images: one run serves every T.

    Raises:
        ModelError: the conversion cannot take the network.
    """
    start, last, test = perf_counter(), max(times), subject.images.test
    calibration = torch.from_numpy(subject.images.calibration)
    converted = convert(subject.module(), recipe(name, calibration))
    delays = {t: _delay(converted, calibration, t) if name not in _MODES else 0 for t in times}
    fires = package("neuron").BaseNode
    counts = SpikeCounts([m for m in converted.modules() if isinstance(m, fires)], last)
    sums: dict[int, list[np.ndarray]] = {t: [] for t in {*times, *delays.values()}}
    for first in range(0, len(test), BATCH):
        for t, total in _steps(converted, torch.from_numpy(test[first : first + BATCH]), counts, last):
            if t in sums:
                sums[t].append(total.numpy())
        progress(min(first + BATCH, len(test)), len(test))
    points = _points(subject, {t: np.concatenate(parts) for t, parts in sums.items()}, delays, counts)
    settings = {"row": name, "version": release(), "delays": list(delays.values())}
    return Row(f"SpikingJelly {release()}, {ROWS[name]}", points, settings, seconds=perf_counter() - start)


def recipe(name: str, calibration: Tensor) -> Any:
    """The recipe of row ``name`` with its calibration images."""
    recipes = package("ann2snn")
    if name in _MODES:
        return recipes.RateCodingRecipe(dataloader=[calibration], mode=_MODES[name])
    return recipes.LocalThresholdBalancingRecipe(dataloader=list(torch.split(calibration, BATCH)) * _PASSES)


def _delay(converted: nn.Module, calibration: Tensor, steps: int) -> int:
    """The first step whose output the readout of ``steps`` steps counts, as the package estimates it."""
    with warnings.catch_warnings():  # few steps leave no room for a delay, which is known
        warnings.simplefilter("ignore", RuntimeWarning)
        return int(package("ann2snn").estimate_delay_start(converted, [calibration], "cpu", steps))


@torch.no_grad()
def _steps(converted: nn.Module, batch: Tensor, counts: SpikeCounts, last: int) -> Iterator[tuple[int, Tensor]]:
    """(t, sum of the outputs of steps 1 to t), from t = 0 on."""
    package("functional").reset_net(converted)
    total = torch.zeros(())
    for t in range(1, last + 1):
        counts.t = t
        output = converted(batch)
        if t == 1:
            total = torch.zeros_like(output)
            yield 0, total
        total = total + output
        yield t, total


def _points(
    subject: Subject, sums: dict[int, np.ndarray], delays: dict[int, int], counts: SpikeCounts
) -> dict[int, Point]:
    synapses = synapses_of(subject)
    found = {}
    for t, delay in delays.items():
        logits = (sums[t] - sums[delay]) / (t - delay)
        found[t] = score(logits, counts.rate(t), operations(counts, t, synapses), subject)
    return found
