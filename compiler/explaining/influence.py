"""Which neurons the error of the outputs comes from: each is made ideal in its turn, and the artifact run again.

The largest distance names the deepest neuron, which inherits, and the largest own error may be one that moves nothing.
So the artifact runs through all its steps twice more for each neuron: with this one ideal, v(t) = f(x(t)) from the
first step on, and all others as they are; and with all others ideal and this one as it is. The first tells what it
costs, together with the unrest that it causes behind it; the second what it costs alone, which tells a cause from a
neuron that only does not keep up with one. The share is the mean of both (of two neurons that is their Shapley value).
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch

from spikec.explaining.watching import Bounds, Tensor, WatchedSteps

MOST_CANDIDATES = 32
PASSES = 8192  # samples x steps x candidates: half of what all shares cost, in evaluations of the network
FEWEST, MOST = 4, 32  # samples

Told = Callable[[int, int], None]


def affordable_samples(candidates: int, steps: int) -> int:
    """How many samples the shares may come from."""
    return min(MOST, max(FEWEST, PASSES // max(1, candidates * steps)))


def shares(
    steps: WatchedSteps,
    candidates: Sequence[str],
    batch: Mapping[str, np.ndarray],
    told: Told = lambda done, total: None,
) -> dict[str, float]:
    """By candidate its part of the outputs' squared distance; below 0: it makes up for others.

    The distance is that of the sums which outputs and readout take, after all T steps: the mean of the squares of their
    relative distances. 0 for all where no distance is left.
    """
    if not candidates:
        return {}
    activations, trained = steps.trained(batch)
    everyone = {name: _bounds(values) for name, values in activations.items()}
    whole = _squared(steps, batch, trained.sums)
    found = {}
    for done, name in enumerate(candidates, start=1):
        without = _squared(steps, batch, trained.sums, {name: everyone[name]})
        alone = _squared(steps, batch, trained.sums, {n: bounds for n, bounds in everyone.items() if n != name})
        found[name] = (whole - without + alone) / (2 * whole) if whole > 0 else 0.0
        told(done, len(candidates))
    return found


def ranking(own: Mapping[str, float], share: Mapping[str, float]) -> list[str]:
    """All neurons, the one to blame most first: by share, and behind those that have none by own error."""
    return sorted(own, key=lambda name: (name not in share, -_number(share.get(name, 0.0)), -_number(own[name])))


def candidates(own: Mapping[str, float], most: int) -> list[str]:
    """The neurons of largest own error, ``most`` at most, in the order in which they are given."""
    largest = sorted(own, key=lambda name: -_number(own[name]))[:most]
    return [name for name in own if name in set(largest)]


def _bounds(values: Tensor) -> Bounds:
    """The range of the ANN's activation, widened by its width on both sides."""
    low, high = float(values.min()), float(values.max())
    width = max(high - low, abs(high), abs(low))
    return low - width, high + width


def _squared(
    steps: WatchedSteps,
    batch: Mapping[str, np.ndarray],
    sums: Mapping[str, Tensor],
    ideal: Mapping[str, Bounds] = MappingProxyType({}),
) -> float:
    *_, last = steps.follow(batch, steps.parts.manifest.steps, ideal=ideal)
    return float(np.mean([_relative(last.sums[name], reference) ** 2 for name, reference in sums.items()]))


def _relative(value: Tensor, reference: Tensor) -> float:
    difference, norm = (torch.linalg.vector_norm(x, dtype=torch.float64) for x in (value - reference, reference))
    return float(difference / norm if norm > 0 else difference)


def _number(value: float) -> float:
    """NaN and infinity, of networks that leave the numbers, count as the worst there is."""
    return value if np.isfinite(value) else float("inf")
