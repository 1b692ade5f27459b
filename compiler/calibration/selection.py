"""The calibration data of one model: what the user gave, or a stand-in."""

from dataclasses import replace
from typing import Any

import onnx

from spikec.calibration.data import Dataset, from_source, random_data
from spikec.calibration.signature import signature
from spikec.errors import UsageError
from spikec.options import Options


def select_data(calibration: Any, model: onnx.ModelProto, options: Options) -> tuple[Dataset, list[str]]:
    """The samples in ``calibration``, or random ones where it is None, with a warning that says so."""
    specs = signature(model)
    if calibration is not None:
        return from_source(calibration, specs), []
    data = random_data(specs, options.seed)
    return data, [
        f"no calibration data given: ranges come from {len(data)} samples of {data.origin}, which know nothing of the "
        "real inputs; pass real samples with --calibration FILE.npz"
    ]


def fixed_batch(model: onnx.ModelProto, data: Dataset) -> int | None:
    """The batch size that the inputs of ``model`` fix, if they do; ``data`` has to fill one batch at least."""
    fixed = next((spec.batch for spec in signature(model) if spec.batch), None)
    if fixed and len(data) < fixed:
        raise UsageError(f"the model has a fixed batch of {fixed}; the calibration data has only {len(data)} samples")
    return fixed


def whole_batches(data: Dataset, fixed: int | None) -> tuple[Dataset, list[str]]:
    """The samples that fill batches of ``fixed``, with a warning where some are left over; all where none is fixed."""
    left = len(data) % fixed if fixed else 0
    if not left:
        return data, []
    used = len(data) - left
    labels = None if data.labels is None else data.labels[:used]
    warning = f"the model has a fixed batch of {fixed}: the last {left} of {len(data)} calibration samples are left out"
    return replace(data, feeds=data.head(used), labels=labels), [warning]
