"""Kernels of scans, derived from the ONNX nodes: one for all neurons whose nodes are the same."""

import logging
from collections.abc import Callable
from functools import cache
from itertools import count
from types import FunctionType
from typing import Any

import torch
from onnx import NodeProto

from spikec.runtime.layers.coalesce import coalesce
from spikec.runtime.layers.triton_kernel import triton_scan
from spikec.runtime.layers.triton_source import writable
from spikec.runtime.torch_graph import TorchGraph

Tensor = torch.Tensor
Kernel = Callable[[list[Tensor], list[Tensor], list[Tensor], int], tuple[list[Tensor], list[Tensor]]]
MOST_UNROLLED = 16  # steps in one compiled kernel; more only lengthen its compilation
_numbers = count()


@cache
def kernel_of(
    nodes: tuple[bytes, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    counts: tuple[int, int, int],
    dtype: torch.dtype,
    device: torch.device,
    compiled: bool,
    rounded: tuple[tuple[int, int], ...] = (),
    event_dtype: torch.dtype | None = None,
) -> Kernel:
    """The kernel (states, stacks, still, steps) -> (states, output stacks) of these nodes.

    Args:
        nodes: serialised elementwise nodes.
        inputs: names of the states before, stacks and still tensors, in this order; ``counts`` says how many of each.
        outputs: names of the states after, then of the outputs wanted for every step.
        compiled: as one kernel, else operator by operator. On CUDA that is a Triton kernel whose states stay in
            registers; on the CPU, and for operators that have no Triton expression, torch.compile makes it.
        rounded: the events among the outputs, and the state of their neuron's value (positions among outputs and
            states): events are sent in ``event_dtype``, and what is remembered is what was sent.
    """
    protos = [NodeProto.FromString(node) for node in nodes]
    graph = TorchGraph(protos, outputs, {}, {}, dtype=dtype, device=device)
    advance = graph.positional(inputs)
    states, *_ = counts

    def scan(
        carried: list[Tensor], timed: list[Tensor], still: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        found: list[list[Tensor]] = [[] for _ in range(len(outputs) - states)]
        for t in range(steps):
            results = advance(*carried, *[stack[t] for stack in timed], *still)
            carried, values = list(results[:states]), list(results[states:])
            for event, value in rounded:
                exact, values[event] = values[event], values[event].to(event_dtype)
                carried[value] = carried[value] + (values[event].to(dtype) - exact)
            for stack, now in zip(found, values, strict=True):
                stack.append(now)
        return carried, [torch.stack(values) for values in found]

    if not compiled:
        return scan
    if device.type == "cuda" and dtype == torch.float32 and writable(protos):
        return flat(triton_scan(nodes, inputs, outputs, counts, rounded), strided=True)
    # on the CPU it is no news that there is no CUDA compiler
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    return flat(torch.compile(_own_code(scan), dynamic=True))


def _own_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy with a code object of its own: torch.compile counts recompilations, and gives up, by code object."""
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    return FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)


def flat(scan: Kernel, *, strided: bool = False) -> Kernel:
    """``scan`` on tensors of as few axes as their broadcasting allows, which makes for long inner loops.

    Args:
        scan: a kernel.
        strided: it takes states that are broadcast to the common shape; else they are written out first.
    """

    def run(
        carried: list[Tensor], timed: list[Tensor], still: list[Tensor], steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        narrow = [_narrow(tensor) for tensor in carried] if strided else []
        shape, merge, restore = coalesce(carried, [*still, *narrow], timed)
        states = [merge(tensor) for tensor in narrow] or [merge(tensor.expand(shape)) for tensor in carried]
        after, outputs = scan(states, [merge(tensor, 1) for tensor in timed], [merge(t) for t in still], steps)
        return [restore(tensor) for tensor in after], [restore(tensor, 1) for tensor in outputs]

    return run


def _narrow(tensor: Tensor) -> Tensor:
    """``tensor`` without the repetitions that expanding gave it."""
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if size > 1 and not stride:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor
