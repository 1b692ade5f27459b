"""Where samples come from: an .npz file, arrays, an iterable of batches, or seeded random numbers."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikec.calibration.signature import InputSpec, check_arrays
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
        """The samples in batches of ``size``; a model of a ``fixed`` batch size gets whole batches of that size only."""
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
    arrays = _read(Path(path))
    labels = arrays.pop(LABELS, None) if LABELS not in {spec.name for spec in specs} else None
    feeds = check_arrays(arrays, specs, str(path))
    count = len(next(iter(feeds.values())))
    if labels is not None and (labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer)):
        raise UsageError(f"{path}: labels must be {count} integers, one a sample, not {labels.dtype} {labels.shape}")
    return Dataset(feeds, labels, str(path))


def from_source(source: Any, specs: Sequence[InputSpec]) -> Dataset:
    """Samples from a path to an .npz, one array (models with one input), a mapping of arrays, or an iterable of batches.

    A batch is an array, a mapping, or a tuple that starts with one entry per input (labels behind them are left out).
    Torch tensors count as arrays.

    Raises:
        UsageError: the samples do not fit the model.
    """
    if isinstance(source, (str, Path)):
        return load_npz(source, specs)
    if isinstance(source, Dataset):
        return Dataset(check_arrays(source.feeds, specs, source.origin), source.labels, source.origin)
    if _is_array(source) or isinstance(source, Mapping):
        return Dataset(check_arrays(_by_name(source, specs), specs, "the calibration data"))
    if not isinstance(source, Iterable):
        raise UsageError(f"calibration data cannot be a {type(source).__name__}; give a path, arrays or batches")
    batches = [_by_name(batch, specs) for batch in source]
    if not batches:
        raise UsageError("the calibration data holds no batches")
    joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return Dataset(check_arrays(joined, specs, "the calibration data"), origin="batches")


def random_data(specs: Sequence[InputSpec], seed: int, samples: int = RANDOM_SAMPLES) -> Dataset:
    """Standard normal samples, the same for the same seed: a stand-in that knows nothing of the real data.

    Raises:
        UsageError: an input is not a float tensor, or has an unknown dimension besides the batch.
    """
    generator = np.random.default_rng(seed)
    feeds = {}
    for spec in specs:
        if not np.issubdtype(spec.dtype, np.floating):
            raise UsageError(f"input '{spec.name}' is {spec.dtype}: random values would mean nothing; give calibration data")
        if spec.shape is None or any(dim is None for dim in spec.shape[1:]):
            raise UsageError(f"input '{spec.name}' has unknown dimensions ({spec.describe()}); give calibration data")
        shape = (spec.batch or samples, *spec.shape[1:])
        feeds[spec.name] = generator.standard_normal(shape).astype(spec.dtype)
    return Dataset(feeds, origin=f"random numbers, seed {seed}")


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                raise UsageError(f"{path} is a single array; save it with numpy.savez under the name of the model's input")
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is not an .npz file that can be read ({str(error).splitlines()[0]})") from error


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "__array__")


def _by_name(batch: Any, specs: Sequence[InputSpec]) -> dict[str, np.ndarray]:
    if isinstance(batch, Mapping):
        return {str(name): np.asarray(value) for name, value in batch.items()}
    values = [batch] if _is_array(batch) else list(batch)[: len(specs)]
    if len(values) != len(specs):
        raise UsageError(f"a batch has {len(values)} arrays, the model has {len(specs)} inputs")
    return {spec.name: np.asarray(value) for spec, value in zip(specs, values, strict=True)}
