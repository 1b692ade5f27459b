"""An .npz read from front to back, all its arrays side by side."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from spikec.calibration import InputSpec
from spikec.calibration.data import LABELS, check_labels
from spikec.calibration.npz_file import check_npz, unreadable
from spikec.calibration.signature import check_finite, check_forms
from spikec.checking.streams import Batch, Mine
from spikec.errors import UsageError


@dataclass(frozen=True)
class Header:
    """What stands before the values of an array."""

    dtype: np.dtype
    shape: tuple[int, ...]
    columns: bool  # Fortran's order: a sample does not stand in one place
    entry: str  # its name in the archive

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def row(self) -> int:
        """Bytes of one sample."""
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize


class NpzStream:
    """The samples of an .npz with one array per input name and, if it likes, ``labels``.

    Raises:
        UsageError: the file is missing, damaged or no .npz, or its arrays do not fit the model.
    """

    pictures = False

    def __init__(self, path: Path, specs: Sequence[InputSpec]) -> None:
        check_npz(path)
        self.path, self.origin, self.specs = path, str(path), specs
        self.warnings: list[str] = []
        self.headers = self._headers()
        is_input = LABELS in {spec.name for spec in specs}
        check_forms({n: h for n, h in self.headers.items() if is_input or n != LABELS}, specs, self.origin)
        self.samples = self.headers[specs[0].name].shape[0]
        for name, header in self.headers.items():
            if header.columns:
                raise UsageError(f"{path}: '{name}' is in Fortran's order; save numpy.ascontiguousarray of it")
        self.labels = self._labels() if LABELS in self.headers and not is_input else None
        self.pictures = len(specs) == 1 and self.headers[specs[0].name].ndim == 4

    def batches(self, size: int, mine: Mine) -> Iterator[Batch]:
        """See ``Stream``."""
        with self._reading(), zipfile.ZipFile(self.path) as archive, ExitStack() as stack:
            entries = {spec.name: self.headers[spec.name].entry for spec in self.specs}
            files = {name: stack.enter_context(archive.open(entry)) for name, entry in entries.items()}
            for file in files.values():
                _read_header(file)
            for number, start in enumerate(range(0, self.samples, size)):
                count = min(size, self.samples - start)
                if not mine(number):
                    for name, file in files.items():
                        file.seek(count * self.headers[name].row, 1)
                    continue
                feeds = {name: _rows(file, self.headers[name], count) for name, file in files.items()}
                for name, array in feeds.items():
                    check_finite(array, name, self.origin)
                yield Batch(start, feeds, None if self.labels is None else self.labels[start : start + count])

    def _headers(self) -> dict[str, Header]:
        with self._reading(), zipfile.ZipFile(self.path) as archive:
            found = {}
            for entry in archive.namelist():
                with archive.open(entry) as file:
                    found[entry.removesuffix(".npy")] = Header(*_read_header(file), entry)
            return found

    def _labels(self) -> np.ndarray:
        header = self.headers[LABELS]
        check_labels(header, self.samples, self.origin)
        with self._reading(), zipfile.ZipFile(self.path) as archive, archive.open(header.entry) as file:
            _read_header(file)
            return _rows(file, header, self.samples)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What zipfile, its decompressors and numpy raise on a damaged file is the file's fault."""
        try:
            yield
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise unreadable(self.path, error) from error


def _read_header(file: IO[bytes]) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Type, shape, and whether it is in Fortran's order; the file stands at the first value then."""
    version = np.lib.format.read_magic(file)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if reader is None:
        raise ValueError(f"its arrays are in version {version} of numpy's format")
    shape, columns, dtype = reader(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return dtype, shape, columns and len(shape) > 1


def _rows(file: IO[bytes], header: Header, count: int) -> np.ndarray:
    content = file.read(count * header.row)
    if len(content) < count * header.row:
        raise ValueError("an array is cut short")
    return np.frombuffer(content, header.dtype).reshape(count, *header.shape[1:])
