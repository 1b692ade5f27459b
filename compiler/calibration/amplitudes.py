"""From ranges to amplitudes, with the proof that every neuron's schedule reaches its range."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from spikec.calibration.channels import amplitude_shape
from spikec.calibration.fitting import MOST_SHARE
from spikec.calibration.observation import Observation
from spikec.calibration.statistics import Statistics
from spikec.lowering.network import Network, Neuron
from spikec.options import Options
from spikec.schedules import reach

_SLACK = 1e-6  # rounding of the float32 tables


@dataclass
class NeuronSetting:
    """What calibration decided for one neuron.

    ``low`` and ``high`` are the extremes of f over the calibration data; ``reach`` is how far v can travel from v(0) at
    the neuron's largest amplitude; ``shortfall`` is the largest part of |f - v(0)| that no schedule step can cover, in
    units of f. ``error`` is the relative L2 distance of v(T) from f that a fit expects; None where nothing was fitted.
    ``weighed``: the fit could have covered the range, so that what it cut off is the price of a smaller error.
    ``offset`` is what the segments behind see added to v.
    """

    neuron: Neuron
    amplitude: np.ndarray
    initial: np.ndarray
    low: float
    high: float
    reach: float
    shortfall: float
    error: float | None = None
    weighed: bool = False
    offset: np.ndarray | None = None

    @property
    def saturates(self) -> bool:
        """Whether some calibration value lies beyond the neuron's reach, and no fit has weighed that."""
        return not self.weighed and self.shortfall > _SLACK * max(1.0, abs(self.low), abs(self.high))

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
            "error": self.error,
            "offset": None if self.offset is None else [float(self.offset.min()), float(self.offset.max())],
        }


def calibrate(
    network: Network, options: Options, schedules: Mapping[str, np.ndarray], seen: Observation
) -> tuple[onnx.ModelProto, list[NeuronSetting]]:
    """A copy of a level-3 model with amplitude and initial value of every neuron set from what was observed.

    Args:
        network: level 3.
        options: ``ranges`` and ``dynamics`` are used.
        schedules: eta(t), (T,), of every neuron by its name.
        seen: of ``observe`` with the same options.
    """
    settings = []
    for neuron in network.neurons.values():
        name = neuron.output
        scaled = options.scales(neuron.function)
        chosen = seen.amplitude[name] if scaled else np.ones_like(seen.amplitude[name])
        # the running mean of integrate-and-fire never leaves 0..a
        travel = 1.0 if options.dynamics == "subgradient" else reach(schedules[neuron.name])
        bounds = seen.statistics[name], chosen, seen.initial[name], seen.spread[name]
        error = seen.errors.get(name)
        weighed = error is not None and scaled and travel * MOST_SHARE >= 1
        settings.append(replace(_setting(neuron, *bounds, travel), error=error, weighed=weighed))
        settings[-1].offset = _offset(settings[-1], seen.offset.get(name))
    return _write(network.model, settings), settings


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


def _offset(setting: NeuronSetting, offset: np.ndarray | None) -> np.ndarray | None:
    return None if offset is None else offset.reshape(setting.amplitude.shape).astype(np.float32)


def _write(model: onnx.ModelProto, settings: list[NeuronSetting]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    values = {s.neuron.amplitude: s.amplitude for s in settings} | {s.neuron.initial: s.initial for s in settings}
    for tensor in copy.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return copy
