"""A folder of images, labelled by sub-folder or by a CSV file."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spikec.calibration import InputSpec
from spikec.checking.images import frame_of, read_image
from spikec.checking.streams import Batch, Mine, Where
from spikec.errors import UsageError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
Labelled = tuple[list[Path], np.ndarray | None]


class FolderStream:
    """The images of a folder, in the order of their names, or in that of the CSV file with their labels.

    Without a CSV, sub-folders are classes: whole numbers are class numbers, other names count from 0 in alphabetical
    order. Images that lie in the folder itself have no labels.

    Raises:
        UsageError: there are no images, labels do not fit them, or the model takes no pictures.
    """

    pictures = True

    def __init__(self, where: Where, specs: Sequence[InputSpec]) -> None:
        folder = where.data
        if len(specs) != 1:
            raise UsageError(
                f"{folder} is a folder of images, and the model has {len(specs)} inputs; give an .npz file"
            )
        self.spec, self.scaling, self.origin = specs[0], where.scaling, str(folder)
        self.frame = frame_of(self.spec, where.scaling.resize)
        _check_channels(where, self.frame.channels, self.frame.dtype)
        self.warnings: list[str] = []
        found = _images(folder)
        self.files, self.labels = from_csv(where.labels, folder) if where.labels else _by_sub_folder(found, folder)
        unnamed = len(set(found) - set(self.files))
        if unnamed:
            self.warnings.append(f"{unnamed} images of {folder} are not in {where.labels} and are left out")
        self.samples = len(self.files)

    def batches(self, size: int, mine: Mine) -> Iterator[Batch]:
        """See ``Stream``."""
        for number, start in enumerate(range(0, self.samples, size)):
            if mine(number):
                end = min(start + size, self.samples)
                labels = None if self.labels is None else self.labels[start:end]
                yield Batch(start, {self.spec.name: self._pictures(self.files[start:end])}, labels)

    def _pictures(self, files: list[Path]) -> np.ndarray:
        pictures = [read_image(file, self.frame, self.scaling) for file in files]
        odd = next((file for file, p in zip(files, pictures, strict=True) if p.shape != pictures[0].shape), None)
        if odd is not None:
            raise UsageError(f"{odd} and {files[0]} differ in size; use --batch-size 1, or images of one size")
        return np.stack(pictures)


def _check_channels(where: Where, channels: int, dtype: np.dtype) -> None:
    scaling = where.scaling
    for option, values in (("--mean", scaling.mean), ("--std", scaling.std)):
        if len(values) not in (1, channels):
            raise UsageError(
                f"{option} has {len(values)} numbers, the model {channels} channels; give one, or one each"
            )
    if dtype == np.uint8 and (scaling.mean, scaling.std) != ((0.0,), (1.0,)):
        raise UsageError("--mean and --std are for models of floats; this one takes pixels as they are (uint8)")


def _images(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise UsageError(f"{folder} holds no images; give a folder with files of {', '.join(ENDINGS)}")
    return found


def _by_sub_folder(files: list[Path], folder: Path) -> Labelled:
    classes = {file: file.relative_to(folder).parts[0] if file.parent != folder else None for file in files}
    names = set(classes.values())
    if names == {None}:
        return files, None
    loose = next((file for file, name in classes.items() if name is None), None)
    if loose is not None:
        raise UsageError(f"{loose} lies in no sub-folder, other images do: move it, or give the labels with --labels")
    known = sorted(name for name in names if name is not None)
    numbers = [int(name) if name.isascii() and name.isdigit() else None for name in known]
    number_of = dict(zip(known, range(len(known)) if None in numbers else numbers, strict=True))
    return files, np.array([number_of[name] for name in classes.values() if name is not None], np.int64)


def from_csv(path: Path, folder: Path) -> Labelled:
    """Images and labels as a CSV file with the columns ``file`` (below the folder) and ``label`` names them.

    Raises:
        UsageError: it cannot be read, has other columns, or names an image that is not there.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not {"file", "label"} <= set(columns):
        raise UsageError(f"{path} has the columns {', '.join(columns) or 'none'}; its first line has to be file,label")
    if not rows:
        raise UsageError(f"{path} names no images")
    return [_file(row, folder, path) for row in rows], np.array([_label(row, path) for row in rows], np.int64)


def _file(row: dict[str, str], folder: Path, path: Path) -> Path:
    file = folder / (row["file"] or "")
    if not os.path.isfile(file):
        raise UsageError(f"{path} names {row['file']}, which is not in {folder}")
    return file


def _label(row: dict[str, str], path: Path) -> int:
    text = (row["label"] or "").strip()
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{path} gives {row['file']} the label '{text}'; labels are class numbers, from 0 on")
    return int(text)
