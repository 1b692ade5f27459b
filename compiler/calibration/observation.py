"""What the calibration data says of every neuron's output: all that amplitudes are made from."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spikec.calibration.channels import channel_axis
from spikec.calibration.data import Dataset
from spikec.calibration.statistics import Observer, Statistics
from spikec.lowering.network import Network
from spikec.lowering.readout import Affine
from spikec.options import Options, percentile


@dataclass
class Observation:
    """What the calibration data says, by the name of every neuron's output tensor; it holds for any number of steps."""

    statistics: dict[str, Statistics]
    initial: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]  # the largest |f - v(0)|
    amplitude: dict[str, np.ndarray]  # by the range rule
    offset: dict[str, np.ndarray] = field(default_factory=dict)  # of fitted neurons, against their mean error
    errors: dict[str, float] = field(default_factory=dict)  # of fitted neurons: |v(T) - f|, relative to |f|
    corrections: dict[str, Affine] = field(default_factory=dict)  # of what leaves the network, by tensor
    unfitted: str = ""  # why amplitudes are as observed where a fit was asked for


def observe(
    network: Network,
    options: Options,
    data: Dataset,
    *,
    fixed_batch: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Observation:
    """Run a level-3 network over ``data`` and reduce the outputs of its neurons.

    Args:
        network: level 3.
        options: ``range_rule``, ``range_per`` and ``initial`` are used.
        data: calibration samples.
        fixed_batch: batch size of a model that has a fixed one.
        progress: told (samples done, samples in all).
    """
    neurons = list(network.neurons.values())
    if not neurons:
        return Observation({}, {}, {}, {})
    per_channel = options.range_per == "channel"
    axes = {n.output: channel_axis(network, n) if per_channel else None for n in neurons}
    observer = Observer(network.model, axes, data, fixed_batch, progress)
    statistics = observer.statistics()
    initial = {name: _initial(stats, options) for name, stats in statistics.items()}
    spread = {name: spread_of(stats, initial[name]) for name, stats in statistics.items()}
    percent = percentile(options.range_rule)
    amplitude = spread if percent == 100 else observer.percentiles(initial, spread, percent)
    return Observation(statistics, initial, spread, amplitude)


def _initial(stats: Statistics, options: Options) -> np.ndarray:
    return stats.mean if options.initial == "mean" else np.zeros_like(stats.mean)


def spread_of(stats: Statistics, initial: np.ndarray) -> np.ndarray:
    """The largest |f - v(0)| that was seen of each channel, for the initial values v(0), (C,)."""
    return np.asarray(np.maximum(np.abs(stats.high - initial), np.abs(stats.low - initial)))
