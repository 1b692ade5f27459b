"""Trees along an axis: each level joins its two halves in one node, and their number is log2 of its size."""

from collections.abc import Callable, Sequence

import onnx_graphsurgeon as gs

from spikec.passes.opening import Opening

Join = Callable[[gs.Tensor, gs.Tensor, str], gs.Tensor]
Lone = Callable[[gs.Tensor, str], gs.Tensor]
Span = tuple[int, int]  # an axis and its size


def spans_of(x: gs.Tensor, axes: Sequence[int]) -> list[Span] | None:
    """``axes`` of ``x`` with their sizes, or None where one is not known, or 0."""
    if x.shape is None:
        return None
    sizes = [x.shape[axis] for axis in axes]
    return list(zip(axes, sizes, strict=True)) if all(isinstance(size, int) and size for size in sizes) else None


def halve(
    opening: Opening,
    x: gs.Tensor,
    spans: Sequence[Span],
    join: Join,
    first: Join | None = None,
    lone: Lone | None = None,
) -> gs.Tensor:
    """What ``join`` makes of all elements along the axes of ``spans``, two by two; they have the size 1 then.

    Args:
        opening: the node that is opened.
        x: the elements.
        spans: the axes, one after the other.
        join: makes one of two; its third argument is a name for the part.
        first: does so on the first level, if not ``join`` does.
        lone: what an element becomes that has no partner on the first level (None: it stays).
    """
    pending = True  # the first level is still to come
    for axis, size in spans:
        along, level = opening.integers([axis], f"axis{axis}"), 0
        while size > 1:
            part, half = f"axis{axis}/{level}", size // 2
            low = _slice(opening, x, along, (0, half), f"{part}/low")
            high = _slice(opening, x, along, (half, 2 * half), f"{part}/high")
            joined = (first if first and pending else join)(low, high, part)
            if size % 2:
                rest: gs.Tensor = _slice(opening, x, along, (2 * half, size), f"{part}/rest")
                rest = lone(rest, f"{part}/lone") if lone and pending else rest
                joined = opening.add("Concat", [joined, rest], f"{part}/joined", axis=axis)
            x, size, level, pending = joined, half + size % 2, level + 1, False
    return lone(x, "lone") if lone and pending else x


def squeezed(opening: Opening, x: gs.Tensor, axes: Sequence[int]) -> gs.Tensor:
    """``x`` without the ``axes`` that the reduction takes away, if it does."""
    if opening.node.attrs.get("keepdims", 1) or not axes:
        return x
    return opening.add("Squeeze", [x, opening.integers(axes, "axes")], "squeezed")


def _slice(opening: Opening, x: gs.Tensor, axis: gs.Tensor, span: tuple[int, int], part: str) -> gs.Variable:
    start = opening.integers(span[:1], f"{part}_start")
    stop = opening.integers(span[1:], f"{part}_stop")
    return opening.add("Slice", [x, start, stop, axis], part)
