"""What a model takes: names, types and shapes of its inputs, and whether given arrays fit them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx

from spikec.errors import ModelError, UsageError


@dataclass(frozen=True)
class InputSpec:
    """One input of a model; ``shape`` has None for dynamic dimensions, the batch first."""

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    @property
    def batch(self) -> int | None:
        """The fixed batch size, or None where it is dynamic."""
        return self.shape[0] if self.shape else None

    def describe(self) -> str:
        """For messages: ``float32 (N, 3, 32, 32)``."""
        if self.shape is None:
            return f"{self.dtype} of any shape"
        dims = ", ".join(
            "N" if i == 0 and d is None else "?" if d is None else str(d) for i, d in enumerate(self.shape)
        )
        return f"{self.dtype} ({dims})"


def signature(model: onnx.ModelProto) -> list[InputSpec]:
    """The inputs of ``model`` that a caller has to feed.

    Raises:
        ModelError: one is no tensor.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    return [_spec(info) for info in model.graph.input if info.name not in stored]


class Form(Protocol):
    """Type and shape of an array, in memory or not."""

    @property
    def dtype(self) -> np.dtype:
        """The type of its values."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of its axes."""
        ...


def check_arrays(arrays: Mapping[str, np.ndarray], specs: Sequence[InputSpec], source: str) -> dict[str, np.ndarray]:
    """The arrays that the inputs in ``specs`` take, checked for name, type, shape, finiteness and equal sample counts.

    Raises:
        UsageError: the first thing that does not fit, with what was expected; ``source`` names the data in the message.
    """
    check_forms(arrays, specs, source)
    for spec in specs:
        check_finite(arrays[spec.name], spec.name, source)
    return {spec.name: np.ascontiguousarray(arrays[spec.name]) for spec in specs}


def check_forms(arrays: Mapping[str, Form], specs: Sequence[InputSpec], source: str) -> None:
    """All that ``check_arrays`` checks without a look at the values."""
    known = {spec.name for spec in specs}
    missing, unknown = sorted(known - set(arrays)), sorted(set(arrays) - known)
    if missing or unknown:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise UsageError(f"{source} holds {found}; the model's inputs are {', '.join(sorted(known))}")
    for spec in specs:
        _check_form(arrays[spec.name], spec, source)
    counts = {arrays[spec.name].shape[0] for spec in specs}
    if len(counts) > 1:
        raise UsageError(f"{source}: the inputs have different numbers of samples ({sorted(counts)})")
    if counts == {0}:
        raise UsageError(f"{source} holds no samples")


def check_finite(array: np.ndarray, name: str, source: str) -> None:
    """Refuse values that are no numbers.

    Raises:
        UsageError: some are NaN or infinite.
    """
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise UsageError(f"{source}: '{name}' holds {bad} values that are NaN or infinite; remove those samples")


def _check_form(array: Form, spec: InputSpec, source: str) -> None:
    if array.dtype != spec.dtype:
        raise UsageError(
            f"{source}: '{spec.name}' is {array.dtype}, the model takes {spec.dtype}; scale it as the model expects "
            f"and convert it with .astype('{spec.dtype}')"
        )
    if not array.shape or (spec.shape is not None and not _fits(array.shape, spec.shape)):
        raise UsageError(f"{source}: '{spec.name}' has shape {array.shape}, the model takes {spec.describe()}")


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Same rank, same fixed dimensions; the first is the sample axis and is batched later."""
    if len(shape) != len(expected):
        return False
    return all(want is None or have == want for have, want in zip(shape[1:], expected[1:], strict=True))


def _spec(info: onnx.ValueInfoProto) -> InputSpec:
    kind = info.type.tensor_type
    if not kind.elem_type:
        raise ModelError(
            f"input '{info.name}' is of {info.type.WhichOneof('value')}, not a tensor; export with plain tensors"
        )
    shape = None
    if kind.HasField("shape"):
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return InputSpec(info.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)
