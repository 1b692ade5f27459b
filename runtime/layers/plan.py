"""The stages that a step graph is evaluated in."""

from dataclasses import dataclass, field

from onnx import AttributeProto, NodeProto

from spikec.runtime.parts import CLOCK

_SHAPES = ("Shape", "Size")


def gives_shape(node: NodeProto) -> bool:
    """Whether the node gives the shape of a tensor, whatever its values."""
    return node.domain == "" and node.op_type in _SHAPES


def holds_graph(node: NodeProto) -> bool:
    """Whether the node holds a graph of its own, which may read any tensor outside."""
    return any(attr.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attr in node.attribute)


class CannotFold(Exception):
    """Time cannot be folded into the batch; the message names the node and the reason."""


@dataclass(frozen=True)
class Scan:
    """Elementwise nodes that are repeated step by step, because they carry states or read what does.

    Attributes:
        nodes: standard elementwise operators in topological order.
        carried: a state's name before and after the step.
        outputs: the tensors wanted for every step.
        events: a neuron's event and the state, after the step, of its value.
        row: the axis of the rows, where some nodes work on rows.
        apart: stages that compute the same and read no row that ``Scan`` would have to hold.
    """

    label: str
    nodes: tuple[NodeProto, ...]
    carried: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    events: tuple[tuple[str, str], ...]
    row: int | None = None
    apart: tuple["Stage", ...] = ()


@dataclass(frozen=True)
class Fold:
    """Nodes without memory: with all steps in the batch (``fold``), from one step's shape (``shape``), or once."""

    label: str
    kind: str  # fold, shape, still or clock
    nodes: tuple[NodeProto, ...]
    outputs: tuple[str, ...]


Stage = Scan | Fold


@dataclass
class Plan:
    """Stages in order; ``stacked`` are the tensors that have a value for each step."""

    stages: list[Stage] = field(default_factory=list)
    stacked: set[str] = field(default_factory=lambda: {CLOCK})
