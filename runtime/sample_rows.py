"""Which rows of states and held tensors are a sample's, so that samples can be taken out of a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikec.runtime.backend import Backend
from spikec.runtime.errors import InputError
from spikec.runtime.inputs import Feeds
from spikec.runtime.result import Arrays
from spikec.runtime.sample_axes import follows

_EQUAL = 1e-3  # of the largest value: rounding differs with the size of a batch, rows of another sample differ more


@dataclass(frozen=True)
class SampleRows:
    """The axis of the samples by name of the tensor, and the tensors that depend on the number of samples alone."""

    axes: Mapping[str, int]
    renewed: tuple[str, ...] = ()

    def keep(self, engine: Backend, tensors: Mapping[str, Any], kept: np.ndarray) -> dict[str, Any]:
        """The tensors with the rows of the samples where ``kept`` (n,) is True. Those ``renewed`` are left out."""
        axes = {name: self.axes.get(name) for name in tensors if name not in self.renewed}
        return {n: tensors[n] if axis is None else _keep(engine, tensors[n], axis, kept) for n, axis in axes.items()}


def find_sample_rows(started: Callable[[Feeds], Arrays], feeds: Feeds) -> SampleRows:
    """Look at what one sample, another and both together begin with (``started``); ``feeds`` hold at least two.

    Raises:
        InputError: a tensor does not hold the two samples apart.
    """
    alone = [started({name: array[i : i + 1] for name, array in feeds.items()}) for i in (0, 1)]
    both = started({name: array[:2] for name, array in feeds.items()})
    axes: dict[str, int] = {}
    renewed = []
    for name, value in both.items():
        parts = [arrays[name] for arrays in alone]
        axis = follows(parts[0].shape, value.shape)
        if axis is not None and all(_same(_row(value, axis, i), parts[i]) for i in (0, 1)):
            axes[name] = axis
        elif np.issubdtype(value.dtype, np.integer) and _by_number(value, parts):
            renewed.append(name)
        elif not all(np.array_equal(value, part) for part in parts):
            raise _mixed(name, parts[0].shape, value.shape)
    return SampleRows(axes, tuple(renewed))


def _mixed(name: str, one: tuple[int, ...], two: tuple[int, ...]) -> InputError:
    return InputError(
        f"'{name}' (shape {one} for one sample, {two} for two) does not hold samples apart, so that those that are "
        "finished cannot be taken out of a batch; use batch_size=1"
    )


def _by_number(both: np.ndarray, alone: Sequence[np.ndarray]) -> bool:
    """Whether the number of samples makes the difference, not which ones they are: as in the shape of a tensor."""
    return np.array_equal(alone[0], alone[1]) and not np.array_equal(both, alone[0])


def _row(value: np.ndarray, axis: int, sample: int) -> np.ndarray:
    return np.split(value, 2, axis=axis)[sample]


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    if not np.issubdtype(first.dtype, np.floating):
        return np.array_equal(first, second)
    return np.allclose(first, second, rtol=0, atol=_EQUAL * float(np.abs(second).max(initial=0)), equal_nan=True)


def _keep(engine: Backend, tensor: Any, axis: int, kept: np.ndarray) -> Any:
    if hasattr(tensor, "index_select"):  # torch: without leaving the device
        index = _indices(kept, tensor.shape[axis])
        return tensor.index_select(axis, engine.to_device(index))
    array = engine.to_numpy(tensor)
    return engine.to_device(np.take(array, _indices(kept, array.shape[axis]), axis=axis))


def _indices(kept: np.ndarray, length: int) -> np.ndarray:
    """Rows of one sample stand together."""
    rows = length // len(kept)
    return np.asarray((np.flatnonzero(kept)[:, None] * rows + np.arange(rows)).ravel())
