"""Reads an ONNX file, with the external data beside it."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import (
    ExternalDataInfo,
    _get_all_tensors,
    load_external_data_for_model,
    uses_external_data,
)

from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source
from spikec.frontends.validity import check_valid, reason
from spikec.sizes import MESSAGE, WAY_OUT, refuse_too_large


def load_file(path: Path) -> Source:
    """The model in the file ``path``.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        ModelError: it is no ONNX model, is damaged or too large, or its external data is missing or outside the model's
            folder.
    """
    content = _read(path)
    model = _parse(content, path)
    digest = hashlib.sha256(content)
    try:
        refuse_too_large(model, str(path))  # before data larger than the memory is read
        for data_file in _external_files(model, path):
            digest.update(data_file.read_bytes())
        load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, RuntimeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: its external data cannot be read: {reason(error)}") from error
    check_valid(model, str(path))
    return Source(model, path.name, "onnx", digest.hexdigest())


def _read(path: Path) -> bytes:
    # os.path says no where pathlib raises: names too long, for example
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; give the ONNX file in it")
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path}; a model is an ONNX file, timm:NAME or package.module:factory")
    size = os.path.getsize(path)
    if size > MESSAGE:
        raise ModelError(
            f"{path} holds {size / 2**30:.1f} GiB, and an ONNX file at most 2 GiB: it is none, or is damaged; {WAY_OUT}"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _parse(content: bytes, path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX file, or is cut short; export or copy it again") from error
    if not model.HasField("graph") or not model.opset_import:
        raise ModelError(f"{path} is not an ONNX file, or is cut short: it holds no graph; export or copy it again")
    return model


def _external_files(model: onnx.ModelProto, path: Path) -> Iterator[Path]:
    """The files with the model's external data, each once, after checking where they are."""
    folder = path.parent.resolve()
    seen: set[Path] = set()
    for tensor in _get_all_tensors(model):
        if not uses_external_data(tensor):
            continue
        location = ExternalDataInfo(tensor).location
        target = (folder / location).resolve()
        if Path(location).is_absolute() or not target.is_relative_to(folder):
            raise ModelError(
                f"{path}: the weights of '{tensor.name}' lie outside the model's folder ({location}), which is "
                "refused; put the file itself beside the model"
            )
        if not target.is_file():
            raise ModelError(f"{path}: its external data '{location}' is missing; put it beside the model")
        if target not in seen:
            seen.add(target)
            yield target
