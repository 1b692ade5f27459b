"""Where samples come from: an .npz file, arrays, an iterable of batches, or seeded random numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikec.calibration.npz_file import read_arrays
from spikec.calibration.signature import Form, InputSpec, check_arrays
from spikec.errors import UsageError

LABELS = "labels"
BATCH = 32
RANDOM_SAMPLES = 16


@dataclass(frozen=True)
class Dataset:
    """Samples for a model: one array an input, and labels (N,) where the source had them."""

    feeds: dict[str, np.ndarray]
    labels: np.ndarray | None = None
    origin: str = "arrays"

    def __len__(self) -> int:
        return len(next(iter(self.feeds.values())))

    def batches(self, size: int = BATCH, *, fixed: int | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The samples in batches of ``size``; a model of a ``fixed`` batch size gets whole batches only."""
        step = fixed or size
        last = len(self) - len(self) % fixed if fixed else len(self)
        for start in range(0, last, step):
            yield {name: array[start : start + step] for name, array in self.feeds.items()}

    def head(self, count: int) -> dict[str, np.ndarray]:
        """The first ``count`` samples."""
        return {name: array[:count] for name, array in self.feeds.items()}


def load_npz(path: str | Path, specs: Sequence[InputSpec]) -> Dataset:
    """Samples from an ``.npz`` file that holds one array per model input name and, if it likes, ``labels``.

    Raises:
        UsageError: the file is missing or no .npz, or its arrays do not fit the model.
    """
    return _dataset(read_arrays(Path(path)), specs, str(path))


def from_source(source: Any, specs: Sequence[InputSpec]) -> Dataset:
    """Samples from a path to an .npz, an array (models with one input), a mapping of arrays, or an iterable of batches.

    A batch is an array, a mapping, or a tuple that starts with one entry per input (labels behind them are left out).
    Torch tensors count as arrays.

    Raises:
        UsageError: the samples do not fit the model.
    """
    if isinstance(source, (str, Path)):
        return load_npz(source, specs)
    if isinstance(source, Dataset):
        labels = {} if source.labels is None else {LABELS: source.labels}
        return _dataset({**source.feeds, **labels}, specs, source.origin)
    if _is_array(source) or isinstance(source, Mapping):
        return _dataset(_by_name(source, specs), specs, "the calibration data", "arrays")
    if not isinstance(source, Iterable):
        raise UsageError(f"calibration data cannot be a {type(source).__name__}; give a path, arrays or batches")
    batches = [_by_name(batch, specs) for batch in source]
    if not batches:
        raise UsageError("the calibration data holds no batches")
    return _dataset(_joined(batches), specs, "the calibration data", "batches")


def random_data(specs: Sequence[InputSpec], seed: int, samples: int = RANDOM_SAMPLES) -> Dataset:
    """Standard normal samples, the same for the same seed: a stand-in that knows nothing of the real data.

    Raises:
        UsageError: an input is not a float tensor, or has an unknown dimension besides the batch.
    """
    generator = np.random.default_rng(seed)
    feeds = {}
    for spec in specs:
        if not np.issubdtype(spec.dtype, np.floating):
            raise UsageError(
                f"input '{spec.name}' is {spec.dtype}: random values would mean nothing; give calibration data"
            )
        known = [dim for dim in (spec.shape or ())[1:] if dim is not None]
        if spec.shape is None or len(known) < len(spec.shape[1:]):
            raise UsageError(f"input '{spec.name}' has unknown dimensions ({spec.describe()}); give calibration data")
        feeds[spec.name] = generator.standard_normal((spec.batch or samples, *known)).astype(spec.dtype)
    return Dataset(feeds, origin=f"random numbers, seed {seed}")


def _dataset(arrays: Mapping[str, np.ndarray], specs: Sequence[InputSpec], source: str, origin: str = "") -> Dataset:
    """Inputs and labels told apart and checked; ``source`` names the data in messages."""
    is_input = LABELS in {spec.name for spec in specs}
    labels = None if is_input else arrays.get(LABELS)
    feeds = check_arrays({n: a for n, a in arrays.items() if is_input or n != LABELS}, specs, source)
    count = len(next(iter(feeds.values())))
    if labels is not None:
        check_labels(labels, count, source)
    return Dataset(feeds, labels, origin or source)


def check_labels(labels: Form, count: int, source: str) -> None:
    """Refuse labels that are not ``count`` integers, one a sample.

    Raises:
        UsageError: they are not; ``source`` names the data in the message.
    """
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"{source}: labels must be {count} integers, one a sample, not {labels.dtype} {labels.shape}")


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "__array__")


def _by_name(batch: Any, specs: Sequence[InputSpec]) -> dict[str, np.ndarray]:
    if isinstance(batch, Mapping):
        return {str(name): _array(value) for name, value in batch.items()}
    if not _is_array(batch) and not isinstance(batch, Sequence):
        raise UsageError(f"a batch cannot be a {type(batch).__name__}; give an array, a mapping or a tuple of arrays")
    values = [batch] if _is_array(batch) else list(batch)[: len(specs)]
    if len(values) != len(specs):
        raise UsageError(f"a batch has {len(values)} arrays, the model has {len(specs)} inputs")
    return {spec.name: _array(value) for spec, value in zip(specs, values, strict=True)}


def _array(value: Any) -> np.ndarray:
    """As numpy array; torch tensors wherever they are and whether or not they record gradients."""
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (TypeError, ValueError) as error:  # a type that numpy does not have, a ragged list
        raise UsageError(f"the calibration data holds a {type(value).__name__} that is no array: {error}") from error


def _joined(batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = set(batches[0])
    odd = next((batch for batch in batches if set(batch) != names), None)
    if odd is not None:
        raise UsageError(f"one batch holds {', '.join(sorted(names))}, another {', '.join(sorted(odd))}")
    try:
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    except ValueError as error:
        raise UsageError(f"the batches of the calibration data do not fit together: {error}") from error
