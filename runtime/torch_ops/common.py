"""What every family of operators shares: the builder type and the reading of attributes and shape inputs."""

from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
import torch
from onnx import NodeProto

from spikec.runtime.errors import UnsupportedOperator
from spikec.runtime.torch_program import Kernel
from spikec.runtime.torch_values import Attrs

__all__ = ["Attrs", "Builder", "Kernel", "along", "as_float", "chosen_axes", "ints", "number", "plain", "refuse"]

Builder = Callable[[Attrs, NodeProto], Kernel]


def plain(function: Kernel) -> Builder:
    """Builder of an operator that has no attributes: `function` is its kernel."""

    def build(attrs: Attrs, node: NodeProto) -> Kernel:
        return function

    return build


def number(attrs: Attrs, name: str, default: float) -> float:
    """A float attribute; ONNX keeps attributes and their defaults in float32, so the default is rounded to it."""
    return float(np.float32(attrs.get(name, default)))


def ints(tensor: torch.Tensor) -> list[int]:
    """A shape-like tensor of any rank as a flat list of Python ints."""
    return [int(value) for value in tensor.reshape(-1).tolist()]


def chosen_axes(axes: torch.Tensor | None, attribute: Sequence[int] | None) -> list[int] | None:
    """The axes given as an input (newer opsets) or as an attribute (older ones), None if neither is."""
    if axes is not None:
        return ints(axes)
    return None if attribute is None else list(attribute)


def along(axis: int, index: slice) -> tuple[slice, ...]:
    """The subscript that applies `index` to the axis (not negative) and takes all of those before it."""
    return (slice(None),) * axis + (index,)


def as_float(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` itself if it is floating point, else in float64, which holds the integers exactly to 2**53."""
    return tensor if tensor.is_floating_point() else tensor.double()


def refuse(node: NodeProto, what: str, remedy: str) -> NoReturn:
    """Raise UnsupportedOperator for a mode of a known operator, saying what to do about it."""
    raise UnsupportedOperator(f"{node.op_type} node {node.name!r}: {what} is not implemented; {remedy}")
