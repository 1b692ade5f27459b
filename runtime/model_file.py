"""Reads an artifact's file, or what may be one."""

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError

from spikec.runtime.errors import ArtifactError, InputError


def read_model(artifact: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """The ONNX model behind a path, the bytes of a file, or a model.

    Raises:
        InputError: there is no such file, it cannot be read, or this is nothing of the three.
        ArtifactError: it is not an ONNX model.
    """
    if isinstance(artifact, onnx.ModelProto):
        return artifact
    name = "the artifact"
    if isinstance(artifact, (str, Path)):
        name, artifact = str(artifact), _read(Path(artifact))
    if not isinstance(artifact, bytes):
        raise InputError(f"the artifact is {type(artifact).__name__}; give a path, the bytes of a file, or a model")
    try:
        model = onnx.load_model_from_string(artifact)
    except DecodeError as error:
        raise ArtifactError(f"{name} is not an ONNX file, or is cut short; copy or compile it again") from error
    if not model.HasField("graph"):
        raise ArtifactError(f"{name} is not an ONNX file: it holds no graph")
    return model


def _read(path: Path) -> bytes:
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give the file that spikec compile wrote")
    if not os.path.isfile(path):
        raise InputError(f"there is no file {path}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse a graph that breaks a rule of ONNX.

    Raises:
        ArtifactError: it does; the message says which.
    """
    try:
        onnx.checker.check_model(model)
    except EncodeError as error:
        raise ArtifactError(
            "the artifact is larger than 2 GiB, which ONNX cannot read; compile it with fewer steps"
        ) from error
    except (onnx.checker.ValidationError, ValueError) as error:  # ValueError: a few bytes below protobuf's 2 GiB
        reason = str(error).strip().splitlines()[0]
        raise ArtifactError(f"the artifact's graph is damaged ({reason[:300]}); copy or compile it again") from error
    # protobuf hands over what is no text as bytes
    if not all(isinstance(text, str) for node in model.graph.node for text in (node.name, node.op_type, node.domain)):
        raise ArtifactError("the artifact's graph is damaged (a node's name is no text); copy or compile it again")
