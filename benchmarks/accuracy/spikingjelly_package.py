"""SpikingJelly, which is no dependency of this project: how it is found, and how its spikes are counted."""

import io
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from spikec.errors import EnvironmentMissing, ModelError

if TYPE_CHECKING:
    from benchmarks.accuracy.subject import Subject
    from benchmarks.accuracy.synapses import Synapses

_HOW = (
    "SpikingJelly's rows need the package spikingjelly, which is no dependency of this project; install it with: "
    "pip install --no-deps spikingjelly==2.0.0 && pip install loguru requests tqdm; or choose other rows with --only"
)


def package(name: str) -> Any:
    """The module ``name`` of the package's ``activation_based``.

    Raises:
        EnvironmentMissing: it, or something it needs, is not installed.
    """
    try:
        from loguru import logger

        logger.disable("spikingjelly")
        return import_module(f"spikingjelly.activation_based.{name}")
    except ImportError as error:
        raise EnvironmentMissing(f"{_HOW} ({error})") from error


def convert(network: nn.Module, recipe: Any) -> nn.Module:
    """The spiking module that ``recipe`` makes of ``network``.

    Raises:
        ModelError: the recipe cannot take the network; its reason is passed on.
    """
    try:
        with redirect_stderr(io.StringIO()):  # bars of its own
            converted: nn.Module = package("ann2snn").Converter(recipe=recipe).convert(network).eval()
    except (ValueError, NotImplementedError, TypeError) as error:
        said = re.sub(r" at 0x[0-9a-f]+", "", str(error))  # where a function lies differs from run to run
        raise ModelError(f"SpikingJelly {release()}: {said}") from error
    return converted


def release() -> str:
    """The installed version."""
    return version("spikingjelly")


class SpikeCounts:
    """Counts what each of ``neurons`` sends, layers in the order in which they first fire.

    Args:
        neurons: the converted network's neuron modules.
        steps: the number of steps.
        spikes: (module, its output) -> spikes of each neuron, for neurons that send more than one at once.
    """

    def __init__(
        self, neurons: Sequence[nn.Module], steps: int, spikes: Callable[[nn.Module, Tensor], Tensor] | None = None
    ) -> None:
        self.t = 0
        self._steps, self._of = steps, spikes or (lambda module, output: torch.count_nonzero(output))
        self._sent: dict[nn.Module, np.ndarray] = {}
        self._slots: dict[nn.Module, int] = {}
        for module in neurons:
            module.register_forward_hook(self._add)

    def upto(self, t: int) -> list[float]:
        """Spikes per neuron in steps 1 to ``t``, mean over neurons and images, of each layer."""
        return [float(sent[: t + 1].sum()) * self._steps / self._slots[m] for m, sent in self._sent.items()]

    def rate(self, t: int) -> float:
        """Spikes per neuron and step in steps 1 to ``t``."""
        slots = sum(self._slots.values()) * t / self._steps
        return float(sum(sent[: t + 1].sum() for sent in self._sent.values())) / slots

    def _add(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._sent.setdefault(module, np.zeros(self._steps + 1))[self.t] += float(self._of(module, output).sum())
        self._slots[module] = self._slots.get(module, 0) + output.numel()


def operations(counts: SpikeCounts, t: int, synapses: "Synapses") -> float | None:
    """Synaptic operations of ``t`` steps: layers stand in the order of our neuron nodes where there are as many."""
    events = counts.upto(t)
    if len(events) != len(synapses.neurons):
        return None
    return synapses.operations(dict(zip(synapses.neurons, events, strict=True)))


def synapses_of(subject: "Subject") -> "Synapses":
    """The network's operators with weights, and where its neurons stand."""
    # the compiler is loaded here alone: the benchmark of speed converts with this package where there is none
    from benchmarks.accuracy.synapses import Synapses
    from spikec.options import Options
    from spikec.pipeline import build_levels

    levels = build_levels(subject.model, Options(), {subject.input: subject.images.calibration[:2]})
    return Synapses.of(levels.neurons, {subject.input: subject.images.calibration[:1]})
