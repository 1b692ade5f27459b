"""Scans as Triton kernels: one program for each block of neurons, which takes it through all steps."""

import hashlib
import importlib.util
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import NodeProto

from spikec.runtime.layers.triton_source import scan_source

Tensor = torch.Tensor
BLOCK = 1024  # neurons of one program


def triton_scan(
    nodes: Sequence[bytes],
    inputs: Sequence[str],
    outputs: Sequence[str],
    counts: tuple[int, int, int],
    rounded: tuple[tuple[int, int], ...] = (),
) -> Any:
    """A kernel as ``kernel_of`` gives, on coalesced tensors, which are broadcast to their common shape.

    Raises:
        UnsupportedOperator: a node has no Triton expression.
    """
    protos = [NodeProto.FromString(node) for node in nodes]

    @cache
    def kernel_for(rank: int) -> Any:
        return _loaded(scan_source(protos, inputs, outputs, counts, rank, rounded))

    scan_source(protos, inputs, outputs, counts, 1, rounded)  # refuses now, not at the first call
    events = {event for event, _ in rounded}

    def scan(
        carried: list[Tensor], timed: list[Tensor], still: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        shape = np.broadcast_shapes(*(t.shape for t in (*carried, *still)), *(stack.shape[1:] for stack in timed))
        kernel, size = kernel_for(len(shape)), prod(shape)
        states = [tensor.expand(shape) for tensor in carried]
        kinds = [torch.bfloat16 if i in events else torch.float32 for i in range(len(outputs) - len(states))]
        device = (carried or timed)[0].device
        after = [torch.empty(shape, dtype=state.dtype, device=device) for state in states]
        made = [torch.empty((steps, *shape), dtype=kind, device=device) for kind in kinds]
        stacks = [tensor.expand((len(tensor), *shape)) for tensor in timed]
        constant = [tensor.expand(shape) for tensor in still]
        tensors = [*states, *stacks, *constant, *after, *made]
        # Triton launches on the current device; its interpreter takes tensors of the CPU
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            kernel[(-(-size // BLOCK),)](
                *tensors, steps, size, *shape, *_strides(states, stacks, constant), BLOCK=BLOCK
            )
        return after, made

    return scan


def _strides(states: Sequence[Tensor], stacks: Sequence[Tensor], constant: Sequence[Tensor]) -> list[int]:
    """Of every axis of the states, the stacks and the still tensors, then those of the stacks' time."""
    inner = [stride for tensor in states for stride in tensor.stride()]
    inner += [stride for tensor in stacks for stride in tensor.stride()[1:]]
    inner += [stride for tensor in constant for stride in tensor.stride()]
    return inner + [tensor.stride(0) for tensor in stacks]


@cache
def _loaded(source: str) -> Any:
    """The function ``scan`` of a module with this source; Triton reads the source from its file."""
    name = f"spikec_scan_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    path = Path(tempfile.mkdtemp(prefix="spikec_")) / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.scan
