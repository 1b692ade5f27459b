"""A straight-line program over numbered slots: what a graph becomes once all its nodes are resolved."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

Kernel = Callable[..., "torch.Tensor | tuple[torch.Tensor, ...]"]

_ABSENT = 0  # the slot that always holds None: an optional input that is not given
_UNUSED = 1  # the slot outputs without a name are written to


class Operation(NamedTuple):
    """One resolved node; an empty name stands for an absent input or an output nobody reads."""

    kernel: Kernel
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    label: str


class _Step(NamedTuple):
    kernel: Kernel
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    frees: tuple[int, ...]
    label: str


class Program:
    """Runs operations in order, holding every intermediate tensor only until its last use."""

    def __init__(
        self,
        operations: Sequence[Operation],
        constants: Mapping[str, torch.Tensor],
        inputs: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        """Number the values; of `constants` only those that are read are kept."""
        slots = _number(operations, inputs, outputs)
        self._initial: list[torch.Tensor | None] = [None] * (len(slots) + 1)
        for name in constants.keys() & slots.keys():
            self._initial[slots[name]] = constants[name]
        self._inputs = tuple(slots[name] for name in inputs)
        self._outputs = tuple(slots[name] for name in outputs)
        kept = {slots[name] for name in (*outputs, *constants) if name in slots} | {_ABSENT}
        self._steps = _schedule(operations, slots, kept)

    def __call__(self, *args: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Evaluate with one argument for each input, in order; the outputs come in order too."""
        values = self._initial.copy()
        for slot, value in zip(self._inputs, args, strict=True):
            values[slot] = value
        for step in self._steps:
            _execute(step, values)
        return tuple(values[slot] for slot in self._outputs)  # type: ignore[misc]


def _execute(step: _Step, values: list[torch.Tensor | None]) -> None:
    kernel, reads, writes, frees, label = step
    try:
        result = kernel(*[values[slot] for slot in reads])
    except Exception as error:
        error.add_note(f"while evaluating {label}")
        raise
    if isinstance(result, tuple):
        for slot, tensor in zip(writes, result, strict=False):  # trailing outputs may be left unnamed
            values[slot] = tensor
    else:
        values[writes[0]] = result
    for slot in frees:
        values[slot] = None


def _number(operations: Sequence[Operation], inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, int]:
    slots = {"": _ABSENT}
    named = [name for operation in operations for name in (*operation.inputs, *operation.outputs)]
    for name in (*inputs, *named, *outputs):
        if name not in slots:
            slots[name] = len(slots) + 1  # slot 1 is taken by _UNUSED
    return slots


def _schedule(operations: Sequence[Operation], slots: Mapping[str, int], kept: set[int]) -> list[_Step]:
    """Attach to every operation the slots nobody reads after it, found by walking backwards."""
    seen = set(kept)
    steps: list[_Step] = []
    for kernel, inputs, outputs, label in reversed(operations):
        reads = tuple(slots[name] for name in inputs)
        writes = tuple(slots[name] if name else _UNUSED for name in outputs)
        frees = {slot for slot in (*reads, *writes) if slot not in seen}
        seen |= frees - {_UNUSED}
        steps.append(_Step(kernel, reads, writes, tuple(frees), label))
    return steps[::-1]
