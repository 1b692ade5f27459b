"""Kernels of scans, derived from the ONNX nodes: one for all neurons whose nodes are the same."""

import logging
from collections.abc import Callable
from functools import cache
from itertools import count
from types import FunctionType
from typing import Any

import torch

from spikec.runtime.layers.coalesce import coalesce
from spikec.runtime.layers.loop import Loop, Order
from spikec.runtime.layers.triton_kernel import triton_scan
from spikec.runtime.layers.triton_source import writable
from spikec.runtime.torch_graph import TorchGraph
from spikec.runtime.torch_values import narrowed

Tensor = torch.Tensor
Kernel = Callable[[list[Tensor], list[Tensor], list[Tensor], int], tuple[list[Tensor], list[Tensor]]]
# steps in one compiled kernel: on the CPU ResNet-18 took 43 s to compile with 4, 60 s with 8 and 86 s with 16, and ran
# no faster with 16, whose tensors outgrow the caches; on CUDA states are moved between memory and registers less often
MOST_UNROLLED = {"cpu": 8, "cuda": 16}
_numbers = count()


@cache
def kernel_of(
    loop: Loop, dtype: torch.dtype, device: torch.device, compiled: bool, event_dtype: torch.dtype | None = None
) -> Kernel:
    """The kernel (states, stacks, still, steps) -> (states, output stacks) of these nodes.

    Args:
        loop: what is repeated; one over rows asks for ``in_triton``.
        compiled: as one kernel, else operator by operator. On CUDA that is a Triton kernel whose states stay in
            registers; on the CPU, and for operators that have no Triton expression, torch.compile makes it.
        event_dtype: the type of events and of what goes to matrix products alone; ``dtype`` if None.
    """
    protos, states = loop.protos, len(loop.carried)
    graph = TorchGraph(protos, loop.outputs, {}, {}, dtype=dtype, device=device)
    advance = graph.positional(loop.inputs)

    def scan(
        carried: list[Tensor], timed: list[Tensor], still: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        found: list[list[Tensor]] = [[] for _ in range(len(loop.outputs) - states)]
        for t in range(steps):
            now = [stack[t] for stack in timed]  # sums of what matrix products give are in the type of states too
            results = advance(*carried, *[x.to(dtype) if x.is_floating_point() else x for x in now], *still)
            carried, values = list(results[:states]), list(results[states:])
            for event, value in loop.rounded:
                exact, values[event] = values[event], values[event].to(event_dtype)
                carried[value] = carried[value] + (values[event].to(dtype) - exact)
            for output in loop.lowered:
                values[output] = values[output].to(event_dtype)
            for stack, given in zip(found, values, strict=True):
                stack.append(given)
        return carried, [torch.stack(values) for values in found]

    if not compiled:
        return scan
    if in_triton(dtype, device) and writable(protos):
        return flat(triton_scan(loop), strided=True, row=loop.row, order=loop.order)
    # on the CPU it is no news that there is no CUDA compiler
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    return flat(torch.compile(_own_code(scan), dynamic=True))


def in_triton(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether compiled scans of operators with a Triton expression are Triton kernels."""
    return device.type == "cuda" and dtype == torch.float32


def _own_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy with a code object of its own: torch.compile counts recompilations, and gives up, by code object."""
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    return FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)


def flat(scan: Kernel, *, strided: bool = False, row: int | None = None, order: Order = None) -> Kernel:
    """``scan`` on tensors of as few axes as their broadcasting allows, which makes for long inner loops.

    Args:
        scan: a kernel.
        strided: it takes any strides, and states that are broadcast to the common shape; else these are written out
            first.
        row: an axis of the common shape that stays as it is, behind all others.
        order: see ``Loop``.
    """

    def run(
        carried: list[Tensor], timed: list[Tensor], still: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        narrow = [narrowed(tensor) for tensor in carried] if strided else []
        shape, merge, restore = coalesce(carried, [*still, *narrow], timed, strided=strided, row=row, given=order)
        states = [merge(tensor) for tensor in narrow] or [merge(tensor.expand(shape)) for tensor in carried]
        after, outputs = scan(states, [merge(tensor, 1) for tensor in timed], [merge(t) for t in still], steps)
        return [restore(tensor) for tensor in after], [restore(tensor, 1) for tensor in outputs]

    return run
