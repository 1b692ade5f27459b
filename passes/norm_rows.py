"""The rows that norms divide by a root mean square: which, and which need another form than the sum of squares."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod

import onnx_graphsurgeon as gs

from spikec.passes.halving import Span, spans_of


@dataclass(frozen=True)
class NormRows:
    """What a norm takes rows of: a tensor along ``axes``, in so many ``groups`` of channels (0: none), less their mean
    if ``centred``."""

    tensor: str
    axes: tuple[int, ...]
    epsilon: float
    centred: bool = True
    groups: int = 0


def epsilon_of(node: gs.Node) -> float:
    """What a norm adds to the mean square."""
    return float(node.attrs.get("epsilon", 1e-5))


def rows_of(node: gs.Node) -> NormRows | None:
    """The rows of a norm; None where its rank has to be known and is not."""
    x, epsilon = node.inputs[0], epsilon_of(node)
    rank = None if x.shape is None else len(x.shape)
    if node.op == "GroupNormalization":
        return NormRows(x.name, (2,), epsilon, groups=int(node.attrs["num_groups"]))
    if node.op == "InstanceNormalization":
        return NormRows(x.name, tuple(range(2, rank)), epsilon) if rank else None
    axis = int(node.attrs.get("axis", -1))
    if axis >= 0 and rank is None:
        return None
    axes = range(axis, 0) if axis < 0 else range(axis, rank or 0)
    return NormRows(x.name, tuple(axes), epsilon, centred=node.op != "RMSNormalization")


def measurable(nodes: Iterable[gs.Node]) -> dict[str, NormRows]:
    """By node name the rows of all ``nodes`` that have another form: those of known size."""
    found = {node.name: (rows_of(node), spans_of_rows(node)) for node in nodes}
    return {name: rows for name, (rows, spans) in found.items() if rows and spans}


def spans_of_rows(node: gs.Node, uneven: Collection[str] | None = None) -> list[Span] | None:
    """The axes of the node's rows with their sizes; None where one is not known, or the node is none of ``uneven``."""
    rows, x = rows_of(node), node.inputs[0]
    if rows is None or x.shape is None or (uneven is not None and node.name not in uneven):
        return None
    if not rows.groups:
        return spans_of(x, [axis % len(x.shape) for axis in rows.axes])
    inner = spans_of(x, range(1, len(x.shape)))  # a group is reshaped to one axis, behind samples and groups
    return None if inner is None else [(2, prod(size for _, size in inner) // rows.groups)]
