"""Reads an ONNX file, with the external data beside it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source


def load_file(path: Path) -> Source:
    """The model in the file ``path``.

    Raises:
        UsageError: there is no such file.
        ModelError: it is no ONNX model, is damaged, or its external data is missing or outside the model's folder.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; a model is an ONNX file, timm:NAME or package.module:factory")
    content = path.read_bytes()
    model = _parse(content, path)
    digest = hashlib.sha256(content)
    for data_file in _external_files(model, path):
        digest.update(data_file.read_bytes())
    try:
        load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path} is not a valid ONNX model: {_reason(error)}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: its external data cannot be read: {_reason(error)}") from error
    return Source(model, path.name, "onnx", digest.hexdigest())


def _parse(content: bytes, path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX file, or is cut short; export or copy it again") from error
    if not model.HasField("graph") or not model.opset_import:
        raise ModelError(f"{path} is not an ONNX file: it holds no graph")
    return model


def _external_files(model: onnx.ModelProto, path: Path) -> Iterator[Path]:
    """The files with the model's external data, each once, after checking where they are."""
    folder = path.parent.resolve()
    seen: set[Path] = set()
    for tensor in onnx.external_data_helper._get_all_tensors(model):
        if not uses_external_data(tensor):
            continue
        location = ExternalDataInfo(tensor).location
        target = (folder / location).resolve()
        if Path(location).is_absolute() or not target.is_relative_to(folder):
            raise ModelError(f"{path}: tensor '{tensor.name}' lies outside the model's folder ({location}), which is refused")
        if not target.is_file():
            raise ModelError(f"{path}: its external data {location} is missing; put it beside the model")
        if target not in seen:
            seen.add(target)
            yield target


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
