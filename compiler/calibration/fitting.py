"""The range rule ``fit``: what was observed, with the amplitudes that layer-wise calibration found."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from spikec.calibration.data import Dataset
from spikec.calibration.in_time import NetworkInTime
from spikec.calibration.layerwise import LayerwiseFit
from spikec.calibration.observation import Observation
from spikec.lowering.network import Network, Neuron
from spikec.options import Options, is_fit, least_share

PASSES = 2048  # samples x steps: what a fit costs, in evaluations of the network
MOST_SAMPLES = 256
MEMORY = 1.5e9  # bytes of activations held at once
BATCH = 16
MOST_SHARE = 1.15  # of the range: somewhat beyond it, for inputs that overshoot before they settle
CANDIDATES = 12


def is_fitted(options: Options) -> bool:
    """Whether amplitudes are fitted: the running mean of integrate-and-fire has the range itself as amplitude."""
    return is_fit(options.range_rule) and options.dynamics == "signgd"


def is_scaled(options: Options) -> Callable[[Neuron], bool]:
    """Which neurons have an amplitude other than 1."""
    return lambda neuron: options.ranges == "every" or neuron.function == "Relu"


def fit_amplitudes(
    network: Network,
    options: Options,
    tables: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
    seen: Observation,
    data: Dataset,
    *,
    fixed_batch: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Observation:
    """``seen`` with fitted amplitudes and the error that each neuron is left with.

    Args:
        network: level 3.
        options: ``ranges`` is used.
        tables: eta(t) and theta(t), (T,), of every neuron by its name.
        seen: of ``observe`` with the same options.
        data: calibration samples; as many as ``PASSES`` and ``MEMORY`` allow are used.
        fixed_batch: batch size of a model that has a fixed one.
        progress: told (neurons fitted, in all).
    """
    if not network.neurons:
        return seen
    shares = np.geomspace(least_share(options.range_rule, options.steps), MOST_SHARE, CANDIDATES)
    fit = LayerwiseFit(network, *tables, seen, shares, is_scaled(options), progress)
    fit.fit(affordable(fit.in_time, data, options.steps, fixed_batch))
    amplitude = {network.neurons[n].output: f.amplitude.numpy() for n, f in fit.fitted.items()}
    errors = {network.neurons[name].output: fitted.error for name, fitted in fit.fitted.items()}
    return replace(seen, amplitude={**seen.amplitude, **amplitude}, errors=errors)


def affordable(
    in_time: NetworkInTime, data: Dataset, steps: int, fixed_batch: int | None
) -> list[dict[str, np.ndarray]]:
    """The first batches of ``data`` that a run of ``steps`` has time and memory for, one at least."""
    first = next(data.batches(1, fixed=fixed_batch))
    size = len(next(iter(first.values())))
    each = in_time.peak_bytes(first) / size
    most = min(MOST_SAMPLES, PASSES // steps, int(MEMORY / (each * (steps + 1))))
    samples = max(size, min(len(data), most))
    return list(Dataset(data.head(samples)).batches(min(BATCH, samples), fixed=fixed_batch))
