"""Reads .npz files that anybody may have written."""

import os
import zipfile
from pathlib import Path

import numpy as np

from spikec.errors import UsageError


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays in an ``.npz`` file by name.

    Raises:
        UsageError: the file is missing, is no .npz, is damaged, or holds Python objects.
    """
    check_npz(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, its decompressors and numpy raise many types on a damaged file
        raise unreadable(path, error) from error
    odd = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
    if odd is not None:  # numpy hands over as bytes what is no array
        raise UsageError(f"{path} holds '{odd}', which is no array; write it again with numpy.savez")
    return arrays


def check_npz(path: Path) -> None:
    """Refuse what is no ``.npz`` file at first sight.

    Raises:
        UsageError: there is no such file, or it is no zip archive.
    """
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; give an .npz file")
    if not os.path.isfile(path):  # also of names that are too long, where pathlib raises
        raise UsageError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is not an .npz file; write one with numpy.savez(FILE, NAME=array)")


def unreadable(path: Path, error: Exception) -> UsageError:
    """What to tell of a damaged file."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(f"{path} cannot be read: {reason}; write it again with numpy.savez, arrays of numbers only")
