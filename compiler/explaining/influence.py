"""Which neurons the error of the outputs comes from: each is made ideal in its turn, and the artifact run again.

The largest distance names the deepest neuron, which inherits, and the largest own error may be one that moves nothing.
So the artifact runs through all its steps with one neuron ideal, v(t) = f(x(t)) from the first step on, and all others
as they are. Its share is how much nearer the outputs then come. Those behind it are ideal in nothing, but need not
follow its detours any more: unrest that a neuron causes in others is counted as its own.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch

from spikec.explaining.watching import Tensor, WatchedSteps

MOST_CANDIDATES = 32
PASSES = 8192  # samples x steps x candidates: what all ablations cost, in evaluations of the network
FEWEST, MOST = 4, 16  # samples

Told = Callable[[int, int], None]


def affordable_samples(candidates: int, steps: int) -> int:
    """How many samples the ablations take."""
    return min(MOST, max(FEWEST, PASSES // max(1, candidates * steps)))


def shares(
    steps: WatchedSteps, candidates: Sequence[str], batch: Mapping[str, np.ndarray], told: Told = lambda done, total: None
) -> dict[str, float]:
    """By candidate: the part of the outputs' distance that is gone when it is ideal (below 0: there is more).

    The distance is that of the sums which outputs and readout take, after all T steps: the root of the mean square of
    their relative distances. 0 for all where nothing changes with time, or no distance is left.
    """
    _, trained = steps.trained(batch)
    whole = _distance(steps, batch, trained.sums)
    found = {}
    for done, name in enumerate(candidates, start=1):
        found[name] = 1 - _distance(steps, batch, trained.sums, [name]) / whole if whole > 0 else 0.0
        told(done, len(candidates))
    return found


def ranking(own: Mapping[str, float], share: Mapping[str, float]) -> list[str]:
    """All neurons, the one to blame most first: by share, and behind those that have none by own error."""
    return sorted(own, key=lambda name: (name not in share, -_number(share.get(name, 0.0)), -_number(own[name])))


def candidates(own: Mapping[str, float], most: int) -> list[str]:
    """The neurons of largest own error, ``most`` at most, in the order in which they are given."""
    largest = sorted(own, key=lambda name: -_number(own[name]))[:most]
    return [name for name in own if name in set(largest)]


def _distance(
    steps: WatchedSteps, batch: Mapping[str, np.ndarray], sums: Mapping[str, Tensor], ideal: Collection[str] = ()
) -> float:
    *_, last = steps.follow(batch, steps.parts.manifest.steps, ideal=ideal)
    squares = [_relative(last.sums[name], reference) ** 2 for name, reference in sums.items()]
    return float(np.sqrt(np.mean(squares))) if squares else 0.0


def _relative(value: Tensor, reference: Tensor) -> float:
    difference, norm = (torch.linalg.vector_norm(x, dtype=torch.float64) for x in (value - reference, reference))
    return float(difference / norm if norm > 0 else difference)


def _number(value: float) -> float:
    """NaN and infinity, of networks that leave the numbers, count as the worst there is."""
    return value if np.isfinite(value) else float("inf")
