"""Checks what a caller feeds, and cuts it into batches."""

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ValueInfoProto

from spikec.runtime.errors import InputError

Feeds = dict[str, np.ndarray]

ENGINE_ERRORS = (RuntimeError, IndexError)  # the engines' words for tensors that do not fit together


def check_inputs(x: np.ndarray | Mapping[str, np.ndarray], inputs: Sequence[ValueInfoProto]) -> Feeds:
    """The arrays by name, in the types and shapes that the artifact takes.

    Raises:
        InputError: a name, type, rank or dimension does not fit; the message says what would.
    """
    names = [info.name for info in inputs]
    if not isinstance(x, Mapping):
        if len(names) != 1:
            raise InputError(
                f"the artifact has {len(names)} inputs ({', '.join(names)}); give a mapping from name to array"
            )
        x = {names[0]: x}
    if set(x) != set(names):
        given = ", ".join(sorted(map(str, x))) or "no inputs"
        raise InputError(f"given are {given}; the artifact takes {', '.join(names)}")
    feeds = {info.name: _check(_array(x[info.name], info.name), info) for info in inputs}
    if len({len(array) for array in feeds.values()}) > 1:
        raise InputError("the inputs have different numbers of samples")
    if any(len(array) == 0 for array in feeds.values()):
        raise InputError("the inputs hold no samples")
    return feeds


def batches(feeds: Feeds, inputs: Sequence[ValueInfoProto], size: int) -> Iterator[tuple[Feeds, int]]:
    """Batches of at most ``size`` samples with the number of real ones; the last one of a fixed batch is filled up."""
    fixed = fixed_batch(inputs)
    step = fixed or max(1, size)
    total = len(next(iter(feeds.values())))
    for start in range(0, total, step):
        batch = {name: array[start : start + step] for name, array in feeds.items()}
        count = min(step, total - start)
        if fixed and count < fixed:
            batch = {name: np.concatenate([a, np.repeat(a[-1:], fixed - count, axis=0)]) for name, a in batch.items()}
        yield batch, count


def fixed_batch(inputs: Sequence[ValueInfoProto]) -> int | None:
    """The number of samples that the artifact takes at once, or None where it takes any."""
    return next((dims[0] for dims in map(_dims, inputs) if dims and dims[0]), None)


def whole_numbers(value: Any, name: str) -> list[int]:
    """One whole number, or several, as a list; ``name`` is what the message calls it.

    Raises:
        InputError: it is something else.
    """
    # an array of rank 0 is one number, although it has what is iterated over
    single = not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0
    return [whole_number(number, name) for number in ([value] if single else value)]


def whole_number(value: Any, name: str) -> int:
    """A whole number of any type as an int.

    Raises:
        InputError: it is something else.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise InputError(f"{name} {value!r} asked, which is no whole number; give one") from error


def why_failed(error: Exception, feeds: Feeds, inputs: Sequence[ValueInfoProto]) -> InputError | None:
    """The user's error behind a failed evaluation, or None if it cannot be theirs: all dimensions were checked."""
    if not any(dims is None or 0 in dims[1:] for dims in map(_dims, inputs)):
        return None
    given = ", ".join(f"{name} {array.shape}" for name, array in feeds.items())
    reason = " ".join([*str(error).strip().splitlines()[:1], *getattr(error, "__notes__", [])])
    return InputError(f"the network cannot be run on {given}: {reason}; use the dimensions that it was calibrated with")


def _array(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # lists of unequal length, tensors on another device
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"'{name}' is {type(value).__name__}, which makes no array ({reason}); give one") from error


def _check(array: np.ndarray, info: ValueInfoProto) -> np.ndarray:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    if array.dtype != dtype:
        raise InputError(
            f"'{info.name}' is {array.dtype}, the artifact takes {dtype}; convert it with .astype('{dtype}')"
        )
    dims = _dims(info)
    fits = dims is None or (
        array.ndim == len(dims)
        and all(not want or want == have for want, have in zip(dims[1:], array.shape[1:], strict=True))
    )
    if not fits or array.ndim == 0:
        wanted = ", ".join(str(dim or "?") for dim in dims or [])
        raise InputError(f"'{info.name}' has shape {array.shape}, the artifact takes ({wanted})")
    return array


def _dims(info: ValueInfoProto) -> list[int] | None:
    """Fixed dimensions, 0 where dynamic; None where the rank is open."""
    kind = info.type.tensor_type
    return [dim.dim_value for dim in kind.shape.dim] if kind.HasField("shape") else None
