"""Writes a file so that nobody ever sees half of it."""

import os
import tempfile
from pathlib import Path

import onnx

from spikec.errors import ModelError, UsageError

_LIMIT = 2**31 - 1  # bytes in one protobuf message


def check_writable(path: Path) -> None:
    """Make sure, before the work starts, that ``path`` can be written.

    Raises:
        UsageError: its folder is missing or closed to writing, or it is a folder itself.
    """
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file")
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UsageError(f"cannot write {path}: permission denied")


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write ``model`` under a temporary name and rename it when complete: a file already at ``path`` stays until then.

    Raises:
        ModelError: the model is beyond protobuf's 2 GiB.
        UsageError: the file cannot be written.
    """
    if model.ByteSize() > _LIMIT:
        raise ModelError("the artifact is larger than 2 GiB, which one ONNX file cannot hold; use form loop or fewer steps")
    write_bytes(model.SerializeToString(), path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write ``content`` to ``path`` in one move.

    Raises:
        UsageError: the file cannot be written.
    """
    check_writable(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _umask() -> int:
    """The process's file mode mask, which temporary files ignore."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
