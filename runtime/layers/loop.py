"""What a scan repeats for every step, with numbers for names: neurons that differ in nothing else share a kernel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import NodeProto

# the axes themselves, or "product": the last two as the tensors have them, behind all others
Order = tuple[int, ...] | Literal["product"] | None


@dataclass(frozen=True)
class Loop:
    """The nodes of a scan, and what they read and give.

    Attributes:
        nodes: serialised nodes in topological order: elementwise ones, and with ``row`` also such on rows.
        inputs: names of the states before, stacks and still tensors, in this order; ``counts`` says how many of each.
        outputs: names of the states after, then of the outputs wanted for every step.
        rounded: the events among the outputs, and the state of their neuron's value (positions among outputs and
            states): events are sent in the type of events, and what is remembered is what was sent.
        lowered: positions of other outputs that are given in that type.
        row: the axis of the rows in the common shape.
        order: how a Triton kernel takes the axes of the common shape, from the slowest in memory to the fastest; by
            itself as the stacks have them.
    """

    nodes: tuple[bytes, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    counts: tuple[int, int, int]
    rounded: tuple[tuple[int, int], ...] = ()
    lowered: tuple[int, ...] = ()
    row: int | None = None
    order: Order = None

    @property
    def carried(self) -> tuple[str, ...]:
        """The states before."""
        return self.inputs[: self.counts[0]]

    @property
    def timed(self) -> tuple[str, ...]:
        """What has a value for each step."""
        return self.inputs[self.counts[0] : self.counts[0] + self.counts[1]]

    @property
    def still(self) -> tuple[str, ...]:
        """What has one value for all steps."""
        return self.inputs[self.counts[0] + self.counts[1] :]

    @property
    def protos(self) -> list[NodeProto]:
        """The nodes."""
        return [NodeProto.FromString(node) for node in self.nodes]


def anonymous(
    nodes: Sequence[NodeProto], names: Sequence[str], wanted: Sequence[str]
) -> tuple[tuple[bytes, ...], tuple[str, ...], tuple[str, ...]]:
    """The nodes, serialised, the ``names`` that they read and those ``wanted``, all with numbers for names."""
    numbers = {"": ""} | {name: f"i{i}" for i, name in enumerate(names)}
    for node in nodes:
        for name in node.output:
            numbers.setdefault(name, f"t{len(numbers)}")
    copies = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.doc_string = "", ""
        copy.input[:] = [numbers[name] for name in node.input]
        copy.output[:] = [numbers[name] for name in node.output]
        copies.append(copy.SerializeToString(deterministic=True))
    return tuple(copies), tuple(numbers[name] for name in names), tuple(numbers[name] for name in wanted)
