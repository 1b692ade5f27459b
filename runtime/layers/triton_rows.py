"""Operators on rows in Triton's language: a tile holds whole rows, ``live`` masks what of it is none."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from spikec.runtime.errors import UnsupportedOperator
from spikec.runtime.layers.elementwise import ELEMENTWISE
from spikec.runtime.layers.triton_expressions import statement

Lines = Callable[..., list[str]]


def _total(x: str) -> str:
    return f"tl.sum(tl.where(live, {x}, 0.0), 1)[:, None]"


def _highest(x: str) -> str:
    return f"tl.max(tl.where(live, {x}, float('-inf')), 1)[:, None]"


def _layer_norm(y: str, x: str, scale: str, bias: str = "0.0", epsilon: float = 1e-5, **_: Any) -> list[str]:
    return [
        f"{y}_c = tl.where(live, {x} - {_total(x)} / cols, 0.0)",
        f"{y}_s = 1.0 / tl.sqrt_rn(tl.sum({y}_c * {y}_c, 1)[:, None] / cols + {epsilon!r})",
        f"{y} = {y}_c * {y}_s * {scale} + {bias or '0.0'}",
    ]


def _rms_norm(y: str, x: str, scale: str, epsilon: float = 1e-5, **_: Any) -> list[str]:
    return [f"{y} = {x} / tl.sqrt_rn({_total(f'{x} * {x}')} / cols + {epsilon!r}) * {scale}"]


def _softmax(y: str, x: str, **_: Any) -> list[str]:
    return [f"{y}_e = tl.exp({x} - {_highest(x)})", f"{y} = {y}_e / {_total(f'{y}_e')}"]


def _log_softmax(y: str, x: str, **_: Any) -> list[str]:
    return [f"{y}_c = {x} - {_highest(x)}", f"{y} = {y}_c - tl.log({_total(f'tl.exp({y}_c)')})"]


def _log_sum_exp(y: str, x: str, *_: str, **__: Any) -> list[str]:
    return [f"{y}_m = {_highest(x)}", f"{y} = {y}_m + tl.log({_total(f'tl.exp({x} - {y}_m)')})"]


def _reduced(write: Callable[[str], str]) -> Lines:
    """``write`` says the value; the second input, the axes, is known to the planner."""
    return lambda y, x, *_, **__: [f"{y} = {write(x)}"]


REDUCTIONS: dict[str, Lines] = {
    "ReduceSum": _reduced(_total),
    "ReduceMean": _reduced(lambda x: f"{_total(x)} / cols"),
    "ReduceMax": _reduced(_highest),
    "ReduceMin": _reduced(lambda x: f"tl.min(tl.where(live, {x}, float('inf')), 1)[:, None]"),
    "ReduceSumSquare": _reduced(lambda x: _total(f"{x} * {x}")),
    "ReduceL1": _reduced(lambda x: _total(f"tl.abs({x})")),
    "ReduceL2": _reduced(lambda x: f"tl.sqrt_rn({_total(f'{x} * {x}')})"),
    "ReduceLogSum": _reduced(lambda x: f"tl.log({_total(x)})"),
    "ReduceLogSumExp": _log_sum_exp,
}
# operators whose outputs have the shape of their first input
WHOLE: dict[str, Lines] = {
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
}
ROWS = REDUCTIONS | WHOLE


def lines(node: NodeProto) -> list[str]:
    """The lines that assign the output of an elementwise node or of one on rows.

    Raises:
        UnsupportedOperator: it is neither, or has no Triton expression.
    """
    if node.op_type not in ROWS:
        return statement(node)
    if any(node.output[1:]):
        raise UnsupportedOperator(f"operator {node.op_type} with several outputs has no Triton expression")
    named = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    return ROWS[node.op_type](node.output[0], *node.input, **named)


def row_axis(nodes: Sequence[NodeProto], full: Set[str], axes: Mapping[str, Sequence[int]]) -> int | None:
    """The axis of the rows that an f works on; None where it has no such form, and for an f that is elementwise.

    Args:
        nodes: the nodes of f in topological order.
        full: its inputs that have whole rows; all other inputs are broadcast to them.
        axes: the known tensors of integers.
    """
    full, found = set(full), set()
    for node in nodes:
        if node.op_type in ROWS:
            axis = _axis(node, axes)
            if axis is None or node.input[0] not in full:
                return None
            found.add(axis)
            full.update(node.output if node.op_type in WHOLE else ())
        elif node.op_type not in ELEMENTWISE:
            return None
        elif full.intersection(node.input):
            full.update(node.output)
    return found.pop() if len(found) == 1 and full.issuperset(nodes[-1].output) else None


def known_axes(constants: Iterable[TensorProto]) -> dict[str, list[int]]:
    """The lists of integers among the constants, by name."""
    lists = (tensor for tensor in constants if len(tensor.dims) == 1 and tensor.data_type == TensorProto.INT64)
    return {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in lists}


def constant_axes(nodes: Sequence[NodeProto]) -> dict[str, list[int]]:
    """The lists of integers that nodes of the type Constant give, by name."""
    found: dict[str, list[int]] = {}
    for node in (node for node in nodes if node.op_type == "Constant"):
        value = helper.get_attribute_value(node.attribute[0])
        array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
        if array.ndim == 1 and array.dtype.kind == "i":
            found[node.output[0]] = array.tolist()
    return found


def _axis(node: NodeProto, axes: Mapping[str, Sequence[int]]) -> int | None:
    """The single axis of the node; None where it has several, or does not keep the axis."""
    named = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if node.op_type in WHOLE:
        axis: int = named.get("axis", -1)
        # a norm takes all axes from its own on: only the last one is a row
        return axis if axis == -1 or "Softmax" in node.op_type else None
    given = axes.get(node.input[1], ()) if len(node.input) > 1 else named.get("axes", ())
    return int(given[0]) if len(given) == 1 and named.get("keepdims", 1) else None
