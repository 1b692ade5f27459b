"""Extremes, means and percentiles of every neuron's output over the calibration data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from spikec.calibration.data import Dataset
from spikec.errors import ModelError
from spikec.onnx_session import open_session, run_session, with_outputs

_BINS = 2048  # a percentile is exact to 1/2048 of the range


@dataclass
class Statistics:
    """Per channel (or for the whole tensor, one entry): extremes and mean of a neuron's output f."""

    axis: int | None
    rank: int
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    count: int  # values seen of each channel


Progress = Callable[[int, int], None]


class Observer:
    """Runs a level-3 model over the data and reduces every neuron's output, batch by batch."""

    def __init__(
        self, model: onnx.ModelProto, axes: dict[str, int | None], data: Dataset, fixed: int | None, progress: Progress
    ) -> None:
        self.axes, self.data, self.fixed, self.progress = axes, data, fixed, progress
        self.session = open_session(with_outputs(model, list(axes)))

    def statistics(self) -> dict[str, Statistics]:
        """One pass: extremes and means, by tensor name.

        Raises:
            ModelError: a value is NaN or infinite.
        """
        low: dict[str, np.ndarray] = {}
        high: dict[str, np.ndarray] = {}
        total: dict[str, np.ndarray] = {}
        count: dict[str, int] = {}
        rank: dict[str, int] = {}
        for name, value in self._values():
            if not np.isfinite(value).all():
                raise ModelError(f"'{name}' is NaN or infinite on some of the calibration data; check the data's scale")
            rank[name], rows = value.ndim, _by_channel(value, self.axes[name])
            low[name] = np.minimum(low.get(name, np.inf), rows.min(axis=1))
            high[name] = np.maximum(high.get(name, -np.inf), rows.max(axis=1))
            total[name] = total.get(name, 0.0) + rows.sum(axis=1, dtype=np.float64)
            count[name] = count.get(name, 0) + rows.shape[1]
        return {n: Statistics(self.axes[n], rank[n], low[n], high[n], total[n] / count[n], count[n]) for n in low}

    def percentiles(
        self, centre: dict[str, np.ndarray], top: dict[str, np.ndarray], percent: float
    ) -> dict[str, np.ndarray]:
        """One more pass: the percentile of |f - centre| per channel, ``top`` being its known maximum."""
        counts: dict[str, np.ndarray] = {}
        for name, value in self._values():
            rows = np.abs(_by_channel(value, self.axes[name]) - centre[name][:, None])
            scale = np.where(top[name] > 0, top[name], 1.0)[:, None]
            bins = np.minimum((rows / scale * _BINS).astype(np.int64), _BINS - 1)
            offsets = np.arange(len(rows))[:, None] * _BINS
            found = np.bincount((bins + offsets).ravel(), minlength=len(rows) * _BINS).reshape(len(rows), _BINS)
            counts[name] = counts.get(name, 0) + found
        return {name: _percentile(histogram, top[name], percent) for name, histogram in counts.items()}

    def _values(self) -> Iterator[tuple[str, np.ndarray]]:
        size = max(1, len(self.data))
        done = 0
        for batch in self.data.batches(fixed=self.fixed):
            values = run_session(self.session, batch, list(self.axes))
            done += len(next(iter(batch.values())))
            self.progress(done, size)
            yield from values.items()


def _percentile(histogram: np.ndarray, top: np.ndarray, percent: float) -> np.ndarray:
    """Upper edge of the bin in which the percentile falls."""
    cumulative = histogram.cumsum(axis=1)
    reached = cumulative >= percent / 100.0 * cumulative[:, -1:]
    return np.asarray((reached.argmax(axis=1) + 1) / _BINS * top)


def _by_channel(value: np.ndarray, axis: int | None) -> np.ndarray:
    """(channels, rest), or (1, all) where no axis is given."""
    if axis is None:
        return value.reshape(1, -1)
    return np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)
