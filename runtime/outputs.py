"""Outputs on their way to the caller: in the types that the artifact declares, batches put together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from spikec.runtime.backend import Backend
from spikec.runtime.errors import InputError
from spikec.runtime.result import Arrays


def output_arrays(engine: Backend, tensors: Mapping[str, Any], infos: Sequence[ValueInfoProto]) -> Arrays:
    """The tensors as arrays of the declared types; float64 stays where the computation was asked to be in it."""
    declared = {info.name: helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type) for info in infos}
    arrays = {name: engine.to_numpy(tensor) for name, tensor in tensors.items()}
    return {n: a if a.dtype == np.float64 else a.astype(declared[n], copy=False) for n, a in arrays.items()}


def join(batches: Sequence[Arrays], total: int, fixed: int | None) -> Arrays:
    """Batches put together; ``fixed`` is the number of samples that the artifact takes at once, if it takes no other.

    Raises:
        InputError: an output of a fixed batch has no row a sample, so that it cannot be had for ``total`` samples.
    """
    if len(batches) == 1 and fixed in (None, total):
        return batches[0]
    gathered = {name: [batch[name] for batch in batches] for name in batches[0]}
    if fixed is None:
        return {name: np.concatenate(values) for name, values in gathered.items()}
    return {name: _join_fixed(name, values, total, fixed) for name, values in gathered.items()}


def _join_fixed(name: str, values: Sequence[np.ndarray], total: int, fixed: int) -> np.ndarray:
    """Without the rows that only filled up the last batch; what is the same in every batch is kept once."""
    first = values[0]
    if first.ndim and len(first) == fixed:
        return np.concatenate(values)[:total]
    # a single batch that had to be filled up may have mixed what fills it into the value
    if total < fixed or any(value.tobytes() != first.tobytes() for value in values):
        raise InputError(
            f"output '{name}' has shape {first.shape}, not one row a sample, and the artifact takes {fixed} samples at "
            f"once; give {fixed} samples, not {total}"
        )
    return first
