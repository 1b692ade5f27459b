"""SpikingJelly's conversion of Transformers: spatio-temporal approximation (STA, Jiang et al., ICLR 2024).

The image enters whole at the first step, and every operator sends on what its output has changed by. Behind each
LayerNorm, GELU and attention an encoder sends whole multiples of a calibrated threshold and keeps the rest; n times the
threshold is n spikes in one step. All else computes in floats at each step. The thresholds depend on T, so that each T
is a conversion of its own. (The recipe's mode ``equivalent`` and the TD-equivalent recipe send floats, no spikes, and
give the trained network's output: there is nothing to measure.)
"""

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.accuracy.row import Point, Row, score
from benchmarks.accuracy.spikingjelly_package import SpikeCounts, convert, operations, package, release, synapses_of
from benchmarks.accuracy.subject import BATCH, Subject
from benchmarks.accuracy.synapses import Synapses
from benchmarks.configuration import Progress

NAME = "spikingjelly-sta"
_WHAT = "spatio-temporal approximation, spiking encoders with thresholds mse x 0.5, several spikes a step"
_ENCODER = "_sta_encoder"  # in the names of the modules that spike


def measure(subject: Subject, times: Sequence[int], progress: Progress) -> Row:
    """Convert for each T with the settings of the package's own example, and run the test images.

    Raises:
        ModelError: the conversion cannot take the network.
    """
    start, network, done = perf_counter(), subject.module(), 0
    points: dict[int, Point] = {}
    for t in times:
        converted = _converted(network, subject, t)
        if not points:
            synapses = synapses_of(subject)
        points[t] = _point(converted, subject, t, synapses)
        done += t
        progress(done, sum(times))
    settings = {"row": NAME, "version": release()}
    return Row(f"SpikingJelly {release()}, {_WHAT}", points, settings, seconds=perf_counter() - start)


def _converted(network: nn.Module, subject: Subject, steps: int) -> nn.Module:
    recipe = package("ann2snn").STATransformerRecipe(
        dataloader=[torch.from_numpy(subject.images.calibration)],
        time_steps=steps,
        mode="spiking_encoder",
        threshold_mode="mse",
        threshold_scale=0.5,
    )
    converted = convert(network, recipe)
    package("functional").set_step_mode(converted, "s")
    return converted


def _point(converted: nn.Module, subject: Subject, steps: int, synapses: Synapses) -> Point:
    encoders = [module for name, module in converted.named_modules() if _ENCODER in name]
    counts = SpikeCounts(encoders, steps, _multiples)
    test = torch.from_numpy(subject.images.test)
    logits = np.concatenate([_logits(converted, batch, steps, counts) for batch in torch.split(test, BATCH)])
    return score(logits, counts.rate(steps), operations(counts, steps, synapses), subject)


@torch.no_grad()
def _logits(converted: nn.Module, batch: Tensor, steps: int, counts: SpikeCounts) -> np.ndarray:
    """The sum of the outputs of all steps: the image at the first, zeros at the others."""
    package("functional").reset_net(converted)
    total = torch.zeros(())
    for counts.t in range(1, steps + 1):
        total = total + converted(batch if counts.t == 1 else torch.zeros_like(batch))
    return np.asarray(total.numpy())


def _multiples(encoder: nn.Module, output: Tensor) -> Tensor:
    """How many thresholds each value is."""
    return torch.round(output.abs() / torch.as_tensor(encoder.v_threshold))
