"""Triton source of a scan, written from its ONNX nodes: states stay in registers from the first step to the last."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from onnx import NodeProto

from spikec.runtime.errors import UnsupportedOperator
from spikec.runtime.layers.loop import Loop
from spikec.runtime.layers.triton_rows import lines

# a float rounded to bfloat16 by hand, to the nearest and ties to even: the interpreter's conversion cuts off
_ROUNDED = (
    "bits = {0}.to(tl.int32, bitcast=True)",
    "bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & -65536",
    "{1} = bits.to(tl.float32, bitcast=True)",
)


class Layout(NamedTuple):
    """How tensors lie, as far as the source depends on it.

    Attributes:
        rank: number of axes of all tensors; one that is broadcast along an axis has stride 0 there.
        single: positions of stacks and still tensors among the inputs that are one number a step.
        wide: places in a tensor do not fit 32 bits.
    """

    rank: int
    single: AbstractSet[int] = frozenset()
    wide: bool = False


def writable(nodes: Sequence[NodeProto]) -> bool:
    """Whether ``scan_source`` takes these nodes."""
    try:
        return bool([lines(node) for node in nodes])
    except UnsupportedOperator:
        return False


def scan_source(loop: Loop, layout: Layout) -> str:
    """The kernel ``scan(pointers of inputs, of states after, of outputs, steps, size, whole, sizes..., strides...)``.

    A program takes a block of elements through all steps; of a loop over rows (``loop.row``), whose last axis is the
    row, a tile of whole rows. ``size`` is the number of elements or rows, ``whole`` that of elements.

    Raises:
        UnsupportedOperator: a node that has no Triton expression.
    """
    timed = loop.timed
    single = [name for i, name in enumerate(loop.inputs) if i in layout.single]
    spread = [name for name in loop.inputs if name not in single]
    axes = range(layout.rank)
    pointers = [f"p_{name}" for name in loop.inputs] + [f"q{i}" for i in range(len(loop.outputs))]
    strides = [f"{name}_{axis}" for name in spread for axis in axes] + [f"{name}_t" for name in timed]
    blocks = ["ROWS: tl.constexpr", "COLS: tl.constexpr"] if loop.row is not None else ["BLOCK: tl.constexpr"]
    head = [*pointers, "steps", "size", "whole", *(f"n{axis}" for axis in axes), *strides, *blocks]
    loads = {name: f"tl.load(p_{name}).to(tl.float32)" for name in single}
    loads |= {name: _load(name, axes) for name in spread}
    states, outputs = len(loop.carried), len(loop.outputs)
    body = [
        *(_tile(axes, layout.wide) if loop.row is not None else _block(axes, layout.wide)),
        *(f"{name} = {loads[name]}" for name in (*loop.carried, *loop.still)),
        "for t in range(steps):",
        *(f"    {name} = {loads[name]}" for name in timed),
        *(f"    {line}" for node in loop.protos for line in lines(node)),
        *(f"    after{i} = {name}" for i, name in enumerate(loop.outputs[:states])),
        *(f"    {line}" for i, name in enumerate(loop.outputs[states:]) for line in _give(loop, i, name)),
        *(f"    {name} = after{i}" for i, name in enumerate(loop.carried)),
        # pointers walk through time: a place in all steps may not fit 32 bits
        *(f"    p_{name} += {name}_t" for name in timed),
        *(f"    q{i} += whole" for i in range(states, outputs)),
        *(f"tl.store(q{i} + at, {name}, mask=live)" for i, name in enumerate(loop.carried)),
    ]
    text = "\n".join(f"    {line}" for line in body)
    return f"import triton\nimport triton.language as tl\n\n\n@triton.jit\ndef scan({', '.join(head)}):\n{text}\n"


def _block(axes: Sequence[int], wide: bool) -> list[str]:
    """Where the elements of this program are: ``a0``... along the axes, ``at`` in what is written."""
    first = f"i = tl.program_id(0){'.to(tl.int64)' * wide} * BLOCK + tl.arange(0, BLOCK)"
    return [first, "live = i < size", "at = i", *_places(axes)]


def _tile(axes: Sequence[int], wide: bool) -> list[str]:
    """The same for whole rows, which the last axis holds."""
    *outer, row = axes
    return [
        f"i = (tl.program_id(0){'.to(tl.int64)' * wide} * ROWS + tl.arange(0, ROWS))[:, None]",
        f"a{row} = tl.arange(0, COLS)[None, :]",
        f"cols = n{row}",
        f"live = (i < size) & (a{row} < cols)",
        f"at = i * cols + a{row}",
        *_places(outer),
    ]


def _places(axes: Sequence[int]) -> list[str]:
    """The number ``i`` taken apart; the first axis needs no remainder."""
    found = ["r = i"]
    for axis in reversed(axes[1:]):
        found += [f"a{axis} = r % n{axis}", f"r = r // n{axis}"]
    return [*found, f"a{axes[0]} = r"]


def _give(loop: Loop, output: int, name: str) -> list[str]:
    """An output is stored; what a neuron remembers is what it sends."""
    pointer = f"q{len(loop.carried) + output}"
    values = [state for event, state in loop.rounded if event == output]
    if not values and output not in loop.lowered:
        return [f"tl.store({pointer} + at, {name}, mask=live)"]
    return [
        *(line.format(name, f"out{output}") for line in _ROUNDED),
        *(f"after{state} += out{output} - {name}" for state in values),
        f"tl.store({pointer} + at, out{output}.to(tl.bfloat16), mask=live)",
    ]


def _load(name: str, axes: Sequence[int]) -> str:
    offset = " + ".join([f"p_{name}", *(f"a{axis} * {name}_{axis}" for axis in axes)])
    return f"tl.load({offset}, mask=live).to(tl.float32)"
