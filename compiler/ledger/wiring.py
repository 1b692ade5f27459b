"""What in a step graph receives the events of neurons, and through which nodes they come."""
# ruff: noqa: SIM905 - a table of names reads best as words

from dataclasses import dataclass, field
from typing import Any

from onnx import NodeProto

from spikec.ledger.operations import WEIGHTED
from spikec.runtime.parts import Parts

# an event goes through these as it is, or multiplied by a number that the weights behind can hold
PASSING = frozenset(
    "Add Cast Concat DepthToSpace Div Expand Flatten Gather GatherElements GatherND Identity Mean Mul Neg Pad Reshape "
    "Slice SpaceToDepth Split Squeeze Sub Sum Tile Transpose Trilu Unsqueeze Where".split()
)
_SUMS = frozenset("AveragePool GlobalAveragePool ReduceMean ReduceSum".split())


@dataclass(frozen=True)
class Receiver:
    """Something that does one operation for each weight that an event, or a value, meets.

    Attributes:
        kind: ``weights``; ``sum``: a pooling or reduction; ``direct``: what is added past no weights.
        node: the operator, or the integrator.
        tensor: what it receives at each step.
        leaves: where that comes from: events of neurons, or tensors of values that are no events.
        spikes: whether all of it are events of neurons whose size the clock tells.
    """

    kind: str
    node: NodeProto
    tensor: str
    leaves: tuple[str, ...]
    spikes: bool


@dataclass
class Wiring:
    """The step graph by what its nodes are.

    Attributes:
        rows: the manifest's row of each neuron, by the tensor of its events.
        neurons, integrators: nodes that hold states.
        receivers: where events arrive.
        linear: other arithmetic on what changes with time, and whether it only passes spikes on.
        makers: the node that makes a tensor.
        leaves: of every tensor that changes with time.
    """

    parts: Parts
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    neurons: list[NodeProto] = field(default_factory=list)
    integrators: list[NodeProto] = field(default_factory=list)
    receivers: list[Receiver] = field(default_factory=list)
    linear: list[tuple[NodeProto, bool]] = field(default_factory=list)
    makers: dict[str, NodeProto] = field(default_factory=dict)
    leaves: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = {row["event"]: row for row in self.parts.manifest.raw["neurons"]}
        self._constants = {tensor.name for tensor in self.parts.constants}
        self._after = {state.next: state for state in self.parts.manifest.states}
        for node in self.parts.step:
            self.makers.update((name, node) for name in node.output if name)
            self._place(node)

    def event_of(self, node: NodeProto) -> str:
        """The tensor of a neuron node's events."""
        return next(str(name) for name in node.output if name in self.rows)

    def changes(self, node: NodeProto) -> bool:
        """Whether a neuron node's inputs change from step to step."""
        return any(name in self._after for name in node.input)

    def is_spikes(self, tensor: str) -> bool:
        """Whether all that ``tensor`` carries are events whose size the clock tells."""
        return all(leaf in self.rows and self.rows[leaf]["coding"] == "sign" for leaf in self.leaves[tensor])

    def timed(self, node: NodeProto) -> list[int]:
        """Positions of the inputs of ``node`` that events reach at each step."""
        if node.op_type in ("Shape", "Size"):
            return []
        return [i for i, name in enumerate(node.input) if name in self.leaves]

    def _place(self, node: NodeProto) -> None:
        event = next((name for name in node.output if name in self.rows), None)
        if event is not None:
            self.neurons.append(node)
            self.leaves[event] = frozenset({event})
        elif any(name in self._after for name in node.output):
            self.integrators.append(node)
            self._integrate(node)
        elif positions := self.timed(node):
            self._pass_on(node, positions)

    def _pass_on(self, node: NodeProto, positions: list[int]) -> None:
        """Where ``node`` lets events through, what it gives comes from where its inputs come from."""
        joined = frozenset(leaf for i in positions for leaf in self.leaves[node.input[i]])
        passing = self._lets_through(node, positions)
        for name in (name for name in node.output if name):
            self.leaves[name] = joined if passing else frozenset({name})
        if node.op_type in WEIGHTED or node.op_type in _SUMS:
            self._receive(node, positions)
        else:
            self.linear.append((node, passing and self.is_spikes(node.output[0])))

    def _lets_through(self, node: NodeProto, positions: list[int]) -> bool:
        if node.op_type in ("Mul", "Div"):
            return all(i in positions or name in self._constants for i, name in enumerate(node.input))
        return node.op_type in PASSING

    def _receive(self, node: NodeProto, positions: list[int]) -> None:
        """An operator has weights for one input; what else arrives is added to its output (the C of a Gemm)."""
        first, *others = positions
        self._add("weights" if node.op_type in WEIGHTED else "sum", node, node.input[first])
        for position in others:
            self._add("direct", node, node.input[position])

    def _integrate(self, node: NodeProto) -> None:
        """Events that pass no weights are received by the estimate itself; values are added by the integrator."""
        arriving = next((name for name in node.input if name in self.leaves), None)
        if arriving is not None and self.is_spikes(arriving):
            self._add("direct", node, arriving)

    def _add(self, kind: str, node: NodeProto, tensor: str) -> None:
        leaves = tuple(sorted(self.leaves[tensor]))
        self.receivers.append(Receiver(kind, node, tensor, leaves, self.is_spikes(tensor)))
