"""The figures of every neuron at every step, summed over batches: distances, and shares of its elements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spikec.explaining.neurons import StoredNeuron
from spikec.explaining.watching import Firing

Tensor = torch.Tensor
# of an element's own error: f lies beyond its reach, which keeps v nearer to the ANN's activation than f is; f lies
# beyond its reach to its harm; it was silent although it should not have been; it is nearer than its last event could
# bring it; none of these: it was still on its way
CAUSES = ("misled", "saturated", "dead", "resolution", "late")
_ROUNDING = 1e-5  # of a reach: what float32 loses in summing a schedule


@dataclass(frozen=True)
class Figures:
    """Arrays (neurons, T), the neurons in topological order; ``causes`` is (neurons, 5), in the order of ``CAUSES``.

    ``distance``, ``inherited`` and ``own`` are relative to the L2 norm of the ANN's activation (absolute where that is
    zero): of what the neurons behind see of v(t) from that activation; of f at the input received from it; and of the
    former from the latter. ``saturated``, ``dead`` and ``rate`` are shares of the elements. ``causes`` shares out the
    squared own error after T steps.
    """

    distance: np.ndarray
    inherited: np.ndarray
    own: np.ndarray
    saturated: np.ndarray
    dead: np.ndarray
    rate: np.ndarray
    causes: np.ndarray


class FigureSums:
    """Adds up what ``look`` is shown, batch by batch; it holds one batch's activations and a bit for each element."""

    def __init__(self, neurons: Sequence[StoredNeuron], steps: int) -> None:
        self.rows = {neuron.name: row for row, neuron in enumerate(neurons)}
        self.steps = steps
        self.errors = np.zeros((3, len(neurons), steps))  # squared: of v, inherited, own
        self.counts = np.zeros((3, len(neurons), steps))  # saturated, dead, events
        self.causes = np.zeros((len(neurons), len(CAUSES)))
        self.power, self.size = np.zeros(len(neurons)), np.zeros(len(neurons))
        self._ann: Mapping[str, Tensor] = {}
        self._start: dict[str, Tensor] = {}
        self._sent: dict[str, Tensor] = {}

    def begin(self, activations: Mapping[str, Tensor]) -> None:
        """A new batch: the ANN's activation of each neuron, (N, ...)."""
        self._ann, self._start, self._sent = activations, {}, {}
        for name, value in activations.items():
            self.power[self.rows[name]] += _power(value)
            self.size[self.rows[name]] += value.numel()

    @torch.inference_mode()
    def look(self, firing: Firing) -> None:
        """Add one neuron's step; every neuron comes once a step, and the steps in order."""
        name, row, t = firing.neuron.name, self.rows[firing.neuron.name], firing.t - 1
        if t == 0:
            self._start[name], self._sent[name] = firing.before, torch.zeros_like(firing.f, dtype=torch.bool)
        fires = firing.event != 0
        self._sent[name] = self._sent[name] | fires
        last, ann = firing.t == self.steps, self._ann[name]
        start, table = (self._start[name], firing.neuron.eta) if last else (firing.v, firing.neuron.eta[firing.t :])
        saturated = out_of_reach(firing.neuron, firing.f, start, firing.amplitude, table)
        dead = ~self._sent[name] & self._is_away(firing)
        self.errors[:, row, t] += [_power(firing.seen - ann), _power(firing.f - ann), _power(firing.seen - firing.f)]
        self.counts[:, row, t] += [float(mask.sum()) for mask in (saturated, dead, fires)]
        if last:
            misled = saturated & ((firing.seen - ann).abs() <= (firing.f - ann).abs())
            self.causes[row] += _by_cause(firing, saturated, misled, dead)

    def figures(self) -> Figures:
        """The figures over all batches so far."""
        power, size = (np.where(sums > 0, sums, 1.0)[:, None] for sums in (self.power, self.size))
        total = self.causes.sum(axis=1, keepdims=True)
        causes = np.divide(self.causes, total, out=np.zeros_like(self.causes), where=total > 0)
        distance, inherited, own = np.sqrt(self.errors / power)
        saturated, dead, rate = self.counts / size
        return Figures(distance, inherited, own, saturated, dead, rate, causes)

    def _is_away(self, firing: Firing) -> Tensor:
        """Where the ANN's activation is farther from v(0) than the smallest event goes."""
        name, neuron = firing.neuron.name, firing.neuron
        smallest = 0.0 if neuron.graded else float(neuron.eta[neuron.eta > 0].min())
        return (self._ann[name] - self._start[name]).abs() > smallest * firing.amplitude


def out_of_reach(
    neuron: StoredNeuron, target: Tensor, start: Tensor, amplitude: Tensor, eta: np.ndarray | None = None
) -> Tensor:
    """The elements of ``target`` that no events of the step sizes ``eta`` (by default all) can reach from ``start``.

    Events are signed: within amplitude * sum(eta); under forgetting (``subgradient``) between what is left of ``start``
    and that with every event. Graded events have no bound.
    """
    eta = neuron.eta if eta is None else eta
    if neuron.graded:
        return torch.zeros_like(target, dtype=torch.bool)
    if neuron.forgets:
        kept = float(np.prod(1 - eta))
        low = kept * start
        high = low + (1 - kept) * amplitude
    else:
        way = float(eta.sum()) * amplitude
        low, high = start - way, start + way
    slack = _ROUNDING * torch.maximum(target.abs(), amplitude * float(neuron.eta.sum()))
    return (target > high + slack) | (target < low - slack)


def _by_cause(firing: Firing, saturated: Tensor, misled: Tensor, dead: Tensor) -> list[float]:
    """The squared own error of the last step in the order of ``CAUSES``; the first that holds of an element counts."""
    error = firing.seen - firing.f
    last = float(firing.neuron.eta[firing.neuron.eta > 0][-1])
    near = error.abs() <= last * firing.amplitude * (1 + _ROUNDING)
    near = torch.zeros_like(near) if firing.neuron.graded else near
    left, squares = torch.ones_like(near), []
    for mask in (misled, saturated, dead, near, left):
        squares.append(_power(error[left & mask]))
        left = left & ~mask
    return squares


def _power(value: Tensor) -> float:
    """The sum of squares."""
    return float(torch.linalg.vector_norm(value, dtype=torch.float64)) ** 2
