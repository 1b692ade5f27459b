"""Exports a torch module to ONNX with a dynamic batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import onnx
import torch

from spikec.canonical import OPSET
from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source
from spikec.frontends.validity import loses_tensors
from spikec.quiet import quiet
from spikec.sizes import refuse_too_large


def export_module(module: torch.nn.Module, example_inputs: Any, name: str, kind: str) -> Source:
    """The ONNX model of ``module`` in evaluation mode; the first dimension of every input stays dynamic.

    Inputs are called ``input`` (or ``input0``, ``input1``...), outputs ``output`` (or ``output0``...).

    Raises:
        UsageError: no example inputs.
        ModelError: torch cannot export the module; its reason is passed on. Or its weights are too large for ONNX.
    """
    arguments = _as_tuple(example_inputs)
    # a batch of one would be taken for a constant by the exporter
    arguments = tuple(torch.cat([a, a]) if a.ndim and a.shape[0] == 1 else a for a in arguments)
    shapes = tuple({0: torch.export.Dim.DYNAMIC} if a.ndim else None for a in arguments)
    was_training = module.training
    module.eval()
    try:
        with quiet(), torch.no_grad():
            outputs = module(*arguments)
            count = len(outputs) if isinstance(outputs, (tuple, list)) else 1
            export = partial(
                torch.onnx.export,
                module,
                arguments,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=_names("input", len(arguments)),
                output_names=_names("output", count),
                verbose=False,
            )
            model = _whole(export)
    except Exception as error:  # the exporter raises its own, torch's and Python's exceptions
        raise ModelError(f"torch cannot export {name} to ONNX: {_reason(error)}") from error
    finally:
        module.train(was_training)
    refuse_too_large(model, name)
    return Source.of(model, name, kind)


def _whole(export: Callable[..., Any]) -> onnx.ModelProto:
    """The model that ``export`` gives; not optimised where the exporter's optimiser loses constants that nodes read.

    It does so with the limits of a tensor that is clamped more than once.
    """
    program = export()
    if program is None:
        raise RuntimeError("it gave no ONNX model")
    model: onnx.ModelProto = program.model_proto
    if loses_tensors(model.graph):
        model = export(optimize=False).model_proto
    return model


def _as_tuple(example_inputs: Any) -> tuple[torch.Tensor, ...]:
    if example_inputs is None:
        raise UsageError("a torch module needs example_inputs: a tensor, or a tuple of tensors, as it is called with")
    items = example_inputs if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    if not items:
        raise UsageError("example_inputs is empty")
    return tuple(_as_tensor(item) for item in items)


def _as_tensor(item: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(item)
    except (TypeError, ValueError, RuntimeError) as error:  # what torch says of text, dictionaries, ragged lists
        kind = type(item).__name__
        raise UsageError(
            f"example_inputs holds a {kind}, which is no tensor; give a tensor, or a tuple of tensors"
        ) from error


def _names(stem: str, count: int) -> list[str]:
    return [stem] if count == 1 else [f"{stem}{i}" for i in range(count)]


def _reason(error: Exception) -> str:
    """The innermost cause, in one line: exporters wrap the reason several times."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}".rstrip(": ")
