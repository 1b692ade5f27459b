"""Writes a file so that nobody ever sees half of it.

Paths are asked about through os.path, which says no where pathlib raises: names too long, for example.
"""

import os
import tempfile
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError

from spikec.errors import ModelError, UsageError


def check_writable(path: Path) -> None:
    """Make sure, before the work starts, that ``path`` can be written.

    Raises:
        UsageError: its folder is missing or closed to writing, or it is a folder itself.
    """
    folder = path.parent
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; give the name of a file")
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    # a device or a pipe would be replaced by a file
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"cannot write {path}: it is not a plain file")
    if not os.access(folder, os.W_OK) or (os.path.exists(path) and not os.access(path, os.W_OK)):
        raise UsageError(f"cannot write {path}: permission denied")


def check_apart(path: Path, *read: str | Path | None) -> None:
    """Make sure that writing to ``path`` destroys none of the files that the command reads.

    Raises:
        UsageError: it is one of them.
    """
    for other in read:
        if other is not None and os.path.exists(other) and os.path.realpath(other) == os.path.realpath(path):
            raise UsageError(f"{path} is read by this command and would be overwritten; give the output another name")


def make_folder(path: Path) -> None:
    """Make the folder ``path`` with those above it, unless it is there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}") from error


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write ``model`` under a temporary name and rename it when complete: a file already at ``path`` stays until then.

    Raises:
        ModelError: the model is beyond protobuf's 2 GiB.
        UsageError: the file cannot be written.
    """
    try:
        content = model.SerializeToString()
    except EncodeError as error:
        raise ModelError(
            "the artifact is larger than 2 GiB, which one ONNX file cannot hold; use form loop or fewer steps"
        ) from error
    write_bytes(content, path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write ``content`` to ``path`` in one move.

    Raises:
        UsageError: the file cannot be written.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".spikec-", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:  # whatever stopped the writing, Ctrl-C included; once renamed it is gone anyway
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file mode mask, which temporary files ignore."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
