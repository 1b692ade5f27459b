"""How large a model is, and the refusal of what ONNX cannot hold: one protobuf message ends at 2 GiB.

Nothing here serialises a model in order to measure it: beyond the limit that fails, ``ByteSize`` included.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

from spikec.errors import ModelError

MESSAGE = 2**31 - 1  # bytes in one protobuf message
LIMIT = MESSAGE - 2**26  # bytes of constants: the rest is left to nodes, shapes and manifest
WAY_OUT = "convert a smaller variant of the network, or one for smaller inputs"

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes of the values of ``tensor``; of external data as long as the model says it is (0 where it does not)."""
    if uses_external_data(tensor):
        return ExternalDataInfo(tensor).length or 0
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    try:
        return int(tensor.ByteSize())
    except EncodeError:  # values in a typed field, more than a message of their own could hold
        return MESSAGE + 1


def refuse_too_large(model: onnx.ModelProto, name: str, way_out: str = WAY_OUT) -> None:
    """Refuse a model whose constants do not fit into one ONNX file; ``name`` is what the message calls it.

    Raises:
        ModelError: they do not; the largest are named.
    """
    sizes = [(tensor_bytes(tensor), tensor.name) for tensor in _get_all_tensors(model)]
    total = sum(size for size, _ in sizes)
    if total > LIMIT:
        largest = sorted(sizes, reverse=True)[:3]
        told = ", ".join(f"'{tensor}' ({size / 2**20:,.0f} MiB)" for size, tensor in largest)
        raise ModelError(
            f"{name} holds {total / 2**30:.1f} GiB of constants, and an ONNX model at most 2 GiB; the largest are "
            f"{told}: {way_out}"
        )


def within_protobuf(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """A model that outgrows protobuf inside ``function``, by its nodes for example, becomes a ModelError."""

    @wraps(function)
    def guarded(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except (EncodeError, DecodeError) as error:
            raise ModelError(
                f"the model has outgrown the 2 GiB that one ONNX model can hold ({error}): {WAY_OUT}, or use fewer "
                "steps with form unrolled"
            ) from error

    return guarded
