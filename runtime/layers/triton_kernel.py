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

from spikec.runtime.layers.loop import Loop
from spikec.runtime.layers.triton_source import Layout, scan_source

Tensor = torch.Tensor
BLOCK = 1024  # neurons of one program
TALL = 8  # rows of one program where neighbours in memory are in neighbouring rows (16: 1.2 times the time)
MOST_COLUMNS = 4096  # of a row whose states stay in registers
_NARROW = 1 << 30  # places from here on, and those of a block behind them, may not fit 32 bits


def triton_scan(loop: Loop) -> Any:
    """A kernel as ``kernel_of`` gives, on coalesced tensors, which are broadcast to their common shape.

    Raises:
        UnsupportedOperator: a node has no Triton expression.
    """

    @cache
    def kernel_for(layout: Layout) -> Any:
        return _loaded(scan_source(loop, layout))

    scan_source(loop, Layout(2))  # refuses now, not at the first call
    events = {*(event for event, _ in loop.rounded), *loop.lowered}
    states = len(loop.carried)
    kinds = [torch.bfloat16 if i in events else torch.float32 for i in range(len(loop.outputs) - states)]

    def scan(
        carried: list[Tensor], timed: list[Tensor], still: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        now = [*carried, *(stack[0] for stack in timed), *still]
        shape = tuple(np.broadcast_shapes(*(tensor.shape for tensor in now))) or (1,)
        spread = [tensor.expand(shape) for tensor in now]
        single = frozenset(i for i, tensor in enumerate(now) if i >= len(carried) and tensor.numel() == 1)
        device = now[0].device
        after = [torch.empty(shape, dtype=state.dtype, device=device) for state in carried]
        made = [torch.empty((steps, *shape), dtype=kind, device=device) for kind in kinds]
        kept = [tensor for i, tensor in enumerate(spread) if i not in single]
        wide = max(prod(shape), *map(_reach, kept)) >= _NARROW
        blocks = _blocks(shape, kept) if loop.row is not None else {"BLOCK": BLOCK}
        size = prod(shape[:-1]) if loop.row is not None else prod(shape)
        strides = [step for tensor in kept for step in tensor.stride()] + [stack.stride(0) for stack in timed]
        grid = (-(-size // blocks.get("ROWS", BLOCK)),)
        # Triton launches on the current device; its interpreter takes tensors of the CPU
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            kernel_for(Layout(len(shape), single, wide))[grid](
                *carried, *timed, *still, *after, *made, steps, size, prod(shape), *shape, *strides, **blocks
            )
        return after, made

    return scan


def _reach(tensor: Tensor) -> int:
    """The place of the last element."""
    return sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def _blocks(shape: Sequence[int], tensors: Sequence[Tensor]) -> dict[str, int]:
    """Rows and columns of a tile, powers of two, and the warps that take it: some eight elements a thread."""
    columns = 1 << (shape[-1] - 1).bit_length()
    rows = max(1, BLOCK // columns)
    if any(tensor.stride(-1) > 1 for tensor in tensors):
        rows = max(rows, min(TALL, MOST_COLUMNS // columns))
    return {"ROWS": rows, "COLS": columns, "num_warps": max(4, min(16, rows * columns // 256))}


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
