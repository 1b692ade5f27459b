"""SpikingJelly's rate-coded conversion of the same network, measured beside ours.

The package is no dependency of this project. It converts torch modules: every ``nn.ReLU`` becomes an integrate-and-fire
neuron between two scalings by the layer's range, so that the threshold, 1 of the scaled membrane, is the range itself.
The image is fed as a constant current at each step, the membrane starts at 0 and is reset by subtraction, and the
readout sums the network's outputs over the steps. The range of a layer is the maximum or a percentile (zeros included)
of one batch; over several batches it would be a moving average of those, so the calibration images are one batch here.
"""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measurement import BATCH, TIMES, Progress, Row, Subject, score
from spikec.errors import EnvironmentMissing

MODES = {"spikingjelly-max": "max", "spikingjelly-99.9": "99.9%"}
_HOW = (
    "--spikingjelly needs the package spikingjelly, which is no dependency of this project; "
    "install it with: pip install --no-deps spikingjelly==2.0.0 && pip install loguru requests tqdm"
)


def measure(name: str, network: nn.Module, subject: Subject, progress: Progress) -> Row:
    """Convert ``network`` with the mode of row ``name`` and run the test images."""
    start, mode, test = perf_counter(), MODES[name], subject.images.test
    counter = SpikeRate()
    converted = convert(network, subject.images.calibration, mode, counter)
    logits: dict[int, list[np.ndarray]] = {t: [] for t in TIMES}
    for first in range(0, len(test), BATCH):
        batch = torch.from_numpy(test[first : first + BATCH])
        for t, mean in steps(converted, batch, counter):
            if t in logits:
                logits[t].append(mean.numpy())
        progress(first + len(batch), len(test))
    points = {t: score(np.concatenate(parts), counter.upto(t), subject) for t, parts in logits.items()}
    release = version("spikingjelly")
    settings = {"recipe": "RateCodingRecipe", "mode": mode, "version": release}
    return Row(f"SpikingJelly {release}, rate coding, range {mode}", points, settings, perf_counter() - start)


def convert(network: nn.Module, calibration: np.ndarray, mode: str, counter: "SpikeRate") -> nn.Module:
    """The spiking module; ``counter`` hears of every spike."""
    ann2snn, neurons = package()
    recipe = ann2snn.RateCodingRecipe(dataloader=[torch.from_numpy(calibration)], mode=mode)
    converted: nn.Module = ann2snn.Converter(recipe=recipe).convert(network).eval()
    for module in converted.modules():
        if isinstance(module, neurons.IFNode):
            module.register_forward_hook(counter.hook)
    return converted


@torch.no_grad()
def steps(converted: nn.Module, batch: Tensor, counter: "SpikeRate") -> Iterator[tuple[int, Tensor]]:
    """(t, mean output of the steps up to t), t counted from 1."""
    from spikingjelly.activation_based import functional

    functional.reset_net(converted)
    total = torch.zeros(())
    for t in range(1, TIMES[-1] + 1):
        counter.t = t
        total = total + converted(batch)
        yield t, total / t


class SpikeRate:
    """Counts spikes and slots at each step."""

    def __init__(self) -> None:
        self.t = 0
        self.spikes = np.zeros(TIMES[-1] + 1)
        self.slots = np.zeros(TIMES[-1] + 1)

    @property
    def hook(self) -> Callable[[nn.Module, Any, Tensor], None]:
        """The forward hook of a neuron."""
        return lambda module, inputs, output: self._add(output)

    def upto(self, t: int) -> float:
        """Share of neurons x steps that spiked in steps 1 to ``t``."""
        return float(self.spikes[: t + 1].sum() / self.slots[: t + 1].sum())

    def _add(self, output: Tensor) -> None:
        self.spikes[self.t] += int(torch.count_nonzero(output))
        self.slots[self.t] += output.numel()


def package() -> tuple[Any, Any]:
    """The package's modules of conversions and of neurons.

    Raises:
        EnvironmentMissing: it, or something it needs, is not installed.
    """
    try:
        from spikingjelly.activation_based import ann2snn, neuron
    except ImportError as error:
        raise EnvironmentMissing(f"{_HOW} ({error})") from error
    return ann2snn, neuron
