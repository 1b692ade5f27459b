"""From ranges to amplitudes, with the proof that every neuron's schedule reaches its range."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from spikec.calibration.channels import amplitude_shape, channel_axis
from spikec.calibration.data import Dataset
from spikec.calibration.statistics import Observer, Statistics
from spikec.lowering.network import Network, Neuron
from spikec.options import Options, percentile
from spikec.schedules import reach

_SLACK = 1e-6  # rounding of the float32 tables


@dataclass
class NeuronSetting:
    """What calibration decided for one neuron.

    ``low`` and ``high`` are the extremes of f over the calibration data; ``reach`` is how far v can travel from v(0) at
    the neuron's largest amplitude; ``shortfall`` is the largest part of |f - v(0)| that no schedule step can cover, in
    units of f.
    """

    neuron: Neuron
    amplitude: np.ndarray
    initial: np.ndarray
    low: float
    high: float
    reach: float
    shortfall: float

    @property
    def saturates(self) -> bool:
        """Whether some calibration value lies beyond the neuron's reach."""
        return self.shortfall > _SLACK * max(1.0, abs(self.low), abs(self.high))

    def as_dict(self) -> dict[str, Any]:
        """The row of the artifact's neuron table."""
        return {
            "range": [self.low, self.high],
            "amplitude": [float(self.amplitude.min()), float(self.amplitude.max())],
            "amplitudes": int(self.amplitude.size),
            "initial": [float(self.initial.min()), float(self.initial.max())],
            "reach": self.reach if np.isfinite(self.reach) else None,  # JSON has no infinity
            "shortfall": self.shortfall,
            "saturates": self.saturates,
        }


def calibrate(
    model: onnx.ModelProto,
    options: Options,
    schedules: Mapping[str, np.ndarray],
    data: Dataset,
    *,
    fixed_batch: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[onnx.ModelProto, list[NeuronSetting]]:
    """Set amplitude and initial value of every neuron of a level-3 model from its outputs on ``data``.

    Args:
        model: level 3. A calibrated copy is returned.
        options: ``ranges``, ``range_rule``, ``range_per``, ``initial`` and ``dynamics`` are used.
        schedules: eta(t), (T,), of every neuron by its name.
        data: calibration samples.
        fixed_batch: batch size of a model that has a fixed one.
        progress: told (samples done, samples in all).
    """
    network = Network(model)
    neurons = list(network.neurons.values())
    per_channel = options.range_per == "channel"
    axes = {n.output: channel_axis(network, n) if per_channel else None for n in neurons}
    if not neurons:
        return model, []
    observer = Observer(model, axes, data, fixed_batch, progress)
    statistics = observer.statistics()
    initial = {name: _initial(stats, options) for name, stats in statistics.items()}
    spread = {name: _spread(stats, initial[name]) for name, stats in statistics.items()}
    percent = percentile(options.range_rule)
    amplitude = spread if percent == 100 else observer.percentiles(initial, spread, percent)
    settings = []
    for neuron in neurons:
        name = neuron.output
        scaled = options.ranges == "every" or neuron.function == "Relu"
        chosen = amplitude[name] if scaled else np.ones_like(amplitude[name])
        # the running mean of integrate-and-fire never leaves 0..a
        travel = 1.0 if options.dynamics == "subgradient" else reach(schedules[neuron.name])
        settings.append(_setting(neuron, statistics[name], chosen, initial[name], spread[name], travel))
    return _write(model, settings), settings


def _initial(stats: Statistics, options: Options) -> np.ndarray:
    return stats.mean if options.initial == "mean" else np.zeros_like(stats.mean)


def _spread(stats: Statistics, initial: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(stats.high - initial), np.abs(stats.low - initial)))


def _setting(
    neuron: Neuron, stats: Statistics, amplitude: np.ndarray, initial: np.ndarray, spread: np.ndarray, travel: float
) -> NeuronSetting:
    if neuron.coding == "float":  # graded events have no amplitude: they follow the input itself
        amplitude, shortfall, farthest = np.ones_like(amplitude), 0.0, float("inf")
    else:
        shortfall, farthest = float((spread - amplitude * travel).max()), float(amplitude.max() * travel)
    shape = () if stats.axis is None else amplitude_shape(stats.axis, stats.rank, len(amplitude))
    return NeuronSetting(
        neuron=neuron,
        amplitude=amplitude.reshape(shape).astype(np.float32),
        initial=initial.reshape(shape).astype(np.float32),
        low=float(stats.low.min()),
        high=float(stats.high.max()),
        reach=farthest,
        shortfall=max(0.0, shortfall),
    )


def _write(model: onnx.ModelProto, settings: list[NeuronSetting]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    values = {s.neuron.amplitude: s.amplitude for s in settings} | {s.neuron.initial: s.initial for s in settings}
    for tensor in copy.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return copy
