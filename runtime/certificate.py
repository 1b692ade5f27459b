"""Proof that no later spike can change a sample's class.

Class scores y are linear in the events d_i of the last neurons, y(t+1) = y(t) + L d(t), and no event is larger than
eta_i(t) * a_i. So from step t on, the difference of two scores changes by no more than

    |change of (y_k - y_j)|  <=  sum_i |L_ki - L_ji| * a_i * R_i(t),   R_i(t) = sum of eta_i over the steps from t on.

Once the first class leads every other one by more than that, it stays the first, whatever the neurons do. Where the
readout scales and shifts each class, it is y' = scale*y + offset that are compared, and scale_k*L_ki stands for L_ki.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.runtime.backend import Backend
from spikec.runtime.errors import InputError
from spikec.runtime.linear_path import LinearPath

_BLOCK = 256  # unit events tried at once
_ROUNDING = float(np.finfo(np.float32).eps)
_TOLD_APART = 1e-6  # scores closer than this can be one number behind a softmax in float32


@dataclass(frozen=True)
class Layout:
    """Events of one neuron node: their shape for one sample, and the axis of the samples."""

    shape: tuple[int, ...]
    axis: int

    def of_samples(self, events: np.ndarray) -> np.ndarray:
        """Events (samples, neurons) as the tensor of a batch; several rows of one sample stand together."""
        apart = np.moveaxis(events.reshape(len(events), *self.shape), 0, self.axis)
        rows = len(events) * self.shape[self.axis]
        return apart.reshape(*self.shape[: self.axis], rows, *self.shape[self.axis + 1 :])


class Certificate:
    """The bound for one shape of the inputs.

    Args:
        path: from the events to the scores.
        engine: the backend.
        layouts: of the events of each source.
        held: the tensors of a batch that ``path`` reads.
        samples: the number of samples that ``held`` fits, or that the artifact takes; None where any will do.
        steps: the number of steps after which the class is asked for.
    """

    def __init__(
        self,
        path: LinearPath,
        engine: Backend,
        layouts: Mapping[str, Layout],
        held: Mapping[str, Any],
        samples: int | None,
        steps: int,
    ) -> None:
        self.steps = steps
        self._scale, self._offset = path.scale, path.offset
        self._remaining = [_sums_from(source.eta[:steps]) for source in path.sources]
        self._amplitudes = [
            np.broadcast_to(source.amplitude, layouts[source.event].shape).ravel() for source in path.sources
        ]
        rows = path.scale.reshape(-1, 1).astype(np.float32)
        self._weights = [rows * w for w in _Probe(path, engine, layouts, held, samples or _BLOCK).weights()]
        self._neurons = sum(len(amplitude) for amplitude in self._amplitudes)
        self._reach = [np.abs(w) @ a for w, a in zip(self._weights, self._amplitudes, strict=True)]
        self._bounds: dict[int, list[np.ndarray]] = {}

    def decided(self, scores: np.ndarray, t: int) -> np.ndarray:
        """For scores (n, classes) after ``t`` steps: (n,), whether each sample's first class is certain to stay so.

        The scores are those of the network; which class is the first is told by what the readout makes of them.
        """
        scores = scores.astype(np.float64) * self._scale + self._offset
        first, found = scores.argmax(axis=1), np.zeros(len(scores), bool)
        for k in np.unique(first):
            rows = scores[first == k]
            lead = rows[:, [k]] - rows
            bound = self._change(int(k), t)
            lead[:, k] = np.inf  # of itself
            found[first == k] = np.all(lead > bound + self._slack(rows, int(k), bound, t), axis=1)
        return found

    def _change(self, k: int, t: int) -> np.ndarray:
        """By how much y_k - y_j may change from step ``t`` on, (classes,)."""
        if k not in self._bounds:
            pairs = zip(self._weights, self._amplitudes, strict=True)
            self._bounds[k] = [np.abs(w[k] - w).astype(np.float64) @ a for w, a in pairs]
        return self._later(self._bounds[k], t)

    def _slack(self, rows: np.ndarray, k: int, bound: np.ndarray, t: int) -> np.ndarray:
        """What float32 may add to the bound: L d is a sum of many terms, and y a sum over the steps that are left.

        A sum of n terms is off by at most n * eps times the sum of their sizes; each addition to y, scale and offset,
        and a softmax, by eps times the size of y. Before the offset, y is that much larger than what is left of it.
        """
        reach = np.zeros(rows.shape[1]) + self._later(self._reach, t)
        sums = (self._neurons + self.steps + 1) * (reach[k] + reach)
        largest = np.abs(rows) + np.abs(self._offset)
        sizes = largest[:, [k]] + largest + bound
        return np.asarray(_ROUNDING * (sums + (self.steps - t + 6) * sizes) + _TOLD_APART)

    def _later(self, bounds: Sequence[np.ndarray], t: int) -> np.ndarray:
        """The sum over the sources, each times its eta from step ``t`` on; 0 where there are none."""
        terms = [remaining[t] * bound for remaining, bound in zip(self._remaining, bounds, strict=True)]
        return np.asarray(sum(terms, np.zeros(1)))


class _Probe:
    """Finds the matrix L by what unit events do to the scores."""

    def __init__(
        self, path: LinearPath, engine: Backend, layouts: Mapping[str, Layout], held: Mapping[str, Any], size: int
    ) -> None:
        self.path, self.engine, self.layouts, self.size = path, engine, layouts, size
        self.held = {name: held[name] for name in path.held}
        change = [path.change] if path.change else []
        self._evaluate = engine.graph(path.nodes, change, {}) if path.nodes else None

    def weights(self) -> list[np.ndarray]:
        """L for each source, (classes, neurons) in float32.

        Raises:
            InputError: the scores are no rows of classes, or change without events.
        """
        if self.path.change is None:
            return []
        if self._changes({}).any():
            raise InputError("the class scores change without events; use the rule stability or margin")
        return [np.concatenate(list(self._blocks(source.event)), axis=1) for source in self.path.sources]

    def _blocks(self, event: str) -> Iterator[np.ndarray]:
        neurons = int(np.prod(self.layouts[event].shape))
        for start in range(0, neurons, self.size):
            units = np.eye(self.size, neurons, start, np.float32)
            changes = self._changes({event: units})
            yield changes[: neurons - start].T.astype(np.float32)

    def _changes(self, events: Mapping[str, np.ndarray]) -> np.ndarray:
        """The change of the scores (samples, classes) by events (samples, neurons) of the neurons given."""
        fed = {}
        for source in self.path.sources:
            layout = self.layouts[source.event]
            sent = events.get(source.event, np.zeros((self.size, int(np.prod(layout.shape))), np.float32))
            fed[source.event] = self.engine.to_device(layout.of_samples(sent))
        found = self._evaluate({**self.held, **fed}) if self._evaluate else fed
        change = self.engine.to_numpy(found[str(self.path.change)])
        if change.ndim != 2 or len(change) != self.size:
            raise InputError(f"the class scores {change.shape} are not one row a sample; use the rule stability")
        return change


def _sums_from(eta: np.ndarray) -> np.ndarray:
    """For t = 0..T the sum of eta over the steps from t on."""
    return np.append(np.cumsum(eta[::-1])[::-1], 0.0)
