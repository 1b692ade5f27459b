"""The range rule ``fit``: what was observed, with the amplitudes that layer-wise calibration found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from spikec.calibration.data import Dataset
from spikec.calibration.in_time import Course, NetworkInTime, distance
from spikec.calibration.layerwise import LayerwiseFit
from spikec.calibration.observation import Observation, spread_of
from spikec.calibration.readout import fit_readout
from spikec.errors import UsageError
from spikec.initial_values import fitted_kinds
from spikec.lowering.network import Network
from spikec.options import Options, is_fit, least_share
from spikec.tables import Tables

PASSES = 2048  # samples x steps: what a fit costs, in evaluations of the network
TUNING_PASSES = 1024  # the same of one trial of the tuner
MOST_SAMPLES = 256
MEMORY = 1.5e9  # bytes of activations held at once
MOST_MEMORY = 8e9  # the same where a single sample takes more
BATCH = 16
MOST_SHARE = 1.15  # of the range: somewhat beyond it, for inputs that overshoot before they settle
CANDIDATES = 10
LOST = 0.3  # relative L2 distance of the outputs from which on a fit is tried another way
STEPS_FROM_MEAN = 3  # with fewer a neuron that starts from its mean seldom gets away from it, and says nothing


def is_fitted(options: Options) -> bool:
    """Whether amplitudes are fitted: the running mean of integrate-and-fire has the range itself as amplitude."""
    return is_fit(options.range_rule) and options.dynamics == "signgd"


def fit_amplitudes(
    network: Network,
    options: Options,
    tables: Tables,
    seen: Observation,
    data: Dataset,
    *,
    fixed_batch: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Observation:
    """``seen`` with fitted amplitudes, the error that each neuron is left with, and the readout's corrections.

    Args:
        network: level 3.
        options: ``ranges`` and ``readout`` are used.
        tables: eta(t) and theta(t), (T,), of every neuron by its name.
        seen: of ``observe`` with the same options.
        data: calibration samples; as many as ``PASSES`` and ``MEMORY`` allow are used.
        fixed_batch: batch size of a model that has a fixed one.
        progress: told (neurons fitted, in all).
    """
    if not network.neurons:
        return seen
    in_time = NetworkInTime(network)
    batches = affordable(in_time, data, options.steps, fixed_batch)
    if not batches:
        return replace(seen, unfitted=_too_large(options.steps))
    fit, outputs = run_fit(in_time, options, tables, seen, batches, progress=progress)
    corrections = fit_readout(network, outputs) if options.readout == "affine" else {}
    amplitude = {network.neurons[n].output: f.amplitude.numpy() for n, f in fit.fitted.items()}
    errors = {network.neurons[name].output: fitted.error for name, fitted in fit.fitted.items()}
    offset = {network.neurons[n].output: f.offset.numpy() for n, f in fit.fitted.items() if f.offset.any()}
    initial = {**seen.initial, **{network.neurons[n].output: f.initial.numpy() for n, f in fit.fitted.items()}}
    spread = {name: spread_of(stats, initial[name]) for name, stats in seen.statistics.items()}
    return replace(
        seen,
        initial=initial,
        spread=spread,
        amplitude={**seen.amplitude, **amplitude},
        offset=offset,
        errors=errors,
        corrections=corrections,
    )


def run_fit(
    in_time: NetworkInTime,
    options: Options,
    tables: Tables,
    seen: Observation,
    batches: Sequence[Mapping[str, np.ndarray]],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[LayerwiseFit, dict[str, list[Course]]]:
    """The fit that ``options`` ask for, run on ``batches``, with the courses of the network's outputs.

    Every neuron does what is best for itself, and together they can still lose the outputs: those that start from
    their mean send their news later, and a deep network may have no steps left to follow it. So where the outputs end
    far off, all neurons start from zero once more, and what is nearer stays.
    """
    fit = layerwise_fit(in_time, options, tables, seen, progress=progress)
    outputs = fit.fit(batches)
    if not fit.starts or distance(outputs) <= LOST:
        return fit, outputs
    plain = layerwise_fit(in_time, replace(options, initial="zero"), tables, seen, progress=progress)
    others = plain.fit(batches)
    return (plain, others) if distance(others) < distance(outputs) else (fit, outputs)


def layerwise_fit(
    in_time: NetworkInTime,
    options: Options,
    tables: Tables,
    seen: Observation,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LayerwiseFit:
    """The fit that ``options`` ask for, yet to be run."""
    shares = np.geomspace(least_share(options.range_rule, options.steps), MOST_SHARE, CANDIDATES)
    starts = fitted_kinds(options.initial) if options.steps >= STEPS_FROM_MEAN else ()
    return LayerwiseFit(in_time, *tables, seen, shares, options.correction, options.scales, starts, progress)


def affordable(
    in_time: NetworkInTime, data: Dataset, steps: int, fixed_batch: int | None, passes: int = PASSES
) -> list[dict[str, np.ndarray]]:
    """The first batches of ``data`` that a run of ``steps`` has time and memory for, one at least if memory holds it.

    A run holds the tensors that are still needed at all of its steps.
    """
    first = next(data.batches(BATCH, fixed=fixed_batch))  # fewer samples than a fit runs on not every network takes
    size = fixed_batch or 1
    each = in_time.peak_bytes(first) / len(next(iter(first.values()))) * (steps + 1)
    if each * size > MOST_MEMORY:
        return []
    samples = max(size, min(len(data), MOST_SAMPLES, passes // steps, int(MEMORY / each)))
    return list(Dataset(data.head(samples)).batches(min(BATCH, samples), fixed=fixed_batch))


def split_batches(
    in_time: NetworkInTime, data: Dataset, steps: int, fixed_batch: int | None
) -> tuple[list[dict[str, np.ndarray]], ...]:
    """Three parts of what is affordable: half to fit on, a quarter each to judge by and to confirm.

    Raises:
        UsageError: there are fewer than four samples, or batches of a fixed size, or one does not fit into memory.
    """
    size = fixed_batch or 1
    usable = affordable(in_time, data, steps, fixed_batch, TUNING_PASSES)
    if not usable:
        raise UsageError(f"tuning is not possible: {_too_large(steps)}")
    samples = sum(len(next(iter(batch.values()))) for batch in usable) // size
    if samples < 4:
        raise UsageError(f"tuning needs at least 4 calibration samples (batches, where their size is fixed): {samples}")
    ends = [0, samples // 2 * size, samples * 3 // 4 * size, samples * size]
    parts = [Dataset({n: a[start:end] for n, a in data.feeds.items()}) for start, end in pairwise(ends)]
    return tuple(list(part.batches(min(BATCH, len(part)), fixed=fixed_batch)) for part in parts)


def _too_large(steps: int) -> str:
    return (
        f"one sample takes more than {MOST_MEMORY / 1e9:g} GB over all of T = {steps} steps; "
        "use fewer steps, or a smaller input"
    )
