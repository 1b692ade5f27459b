"""What is known of a shape: of a tensor's own, and of a vector that is computed to be one."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

import onnx_graphsurgeon as gs

from spikec.passes.surgery import values_of

Dims = list[int | str]  # sizes, and names of open dimensions; a product of both is a name too: 64*N
_PRODUCT = re.compile(r"\w+(\*\w+)*")  # exporters name dimensions by other formulas too, which are left whole


def known_shape(tensor: gs.Tensor) -> Dims | None:
    """The shape of ``tensor``, or None where its rank or one of its dimensions is unknown."""
    shape = tensor.shape
    return None if shape is None or any(size is None for size in shape) else list(shape)


def shape_contents(tensor: gs.Tensor) -> Dims | None:
    """The elements of a vector that describes a shape, as far as shapes of other tensors tell them."""
    values = values_of(tensor)
    if values is not None:
        return [int(value) for value in values.ravel()]
    node = tensor.inputs[0] if tensor.inputs else None
    rule = None if node is None else _RULES.get(node.op)
    return rule(node) if rule else None


def product(sizes: Sequence[int | str]) -> int | str:
    """All sizes multiplied; names are put in an order, so that every product has one name."""
    return _written(*_factors(sizes))


def quotient(sizes: Sequence[int | str], divisors: Sequence[int | str]) -> int | str | None:
    """The product of ``sizes`` over that of ``divisors``; None where it does not come out even."""
    (number, names), (divisor, others) = _factors(sizes), _factors(divisors)
    if divisor == 0 or number % divisor or others - names:
        return None
    return _written(number // divisor, names - others)


def _factors(sizes: Sequence[int | str]) -> tuple[int, Counter[str]]:
    """The product of all sizes as a number times names."""
    number, names = 1, Counter[str]()
    for size in map(str, sizes):
        for part in size.split("*") if _PRODUCT.fullmatch(size) else [size]:
            if part.isdecimal():
                number *= int(part)
            else:
                names[part] += 1
    return number, names


def _written(number: int, names: Counter[str]) -> int | str:
    if not names:
        return number
    if number == 1 and names.total() == 1:
        return next(iter(names))
    whole = [name if _PRODUCT.fullmatch(name) else f"({name})" for name in sorted(names.elements())]
    return "*".join([*([str(number)] if number != 1 else []), *whole])


def _shape(node: gs.Node) -> Dims | None:
    shape = known_shape(node.inputs[0])
    return None if shape is None else shape[node.attrs.get("start", 0) : node.attrs.get("end", len(shape))]


def _concat(node: gs.Node) -> Dims | None:
    parts = [shape_contents(part) for part in node.inputs]
    return None if any(part is None for part in parts) else [size for part in parts for size in part or ()]


def _gather(node: gs.Node) -> Dims | None:
    source, index = shape_contents(node.inputs[0]), values_of(node.inputs[1])
    return None if source is None or index is None else [source[i] for i in index.ravel()]


def _multiplied(node: gs.Node) -> Dims | None:
    factors = [shape_contents(factor) for factor in node.inputs]
    if any(factor is None or len(factor) != 1 for factor in factors):
        return None
    return [product([size for factor in factors for size in factor or ()])]


def _same(node: gs.Node) -> Dims | None:
    return shape_contents(node.inputs[0])


_RULES: dict[str, Callable[[gs.Node], Dims | None]] = {
    "Shape": _shape,
    "Concat": _concat,
    "Gather": _gather,
    "Mul": _multiplied,
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Identity"), _same),
}
