"""Takes the step graph apart into what is computed once, what takes all steps at once, and what scans over time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from onnx import AttributeProto, NodeProto

from spikec.runtime.layers.elementwise import ELEMENTWISE
from spikec.runtime.layers.flatten import Functions, flatten
from spikec.runtime.manifest import State
from spikec.runtime.parts import CLOCK, Parts, needed

FUNCTION_DOMAIN = "spikec.f"  # of a neuron's f, which its dynamics call
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
    """Elementwise nodes that are repeated step by step because they carry states.

    Attributes:
        nodes: standard elementwise operators in topological order.
        carried: a state's name before and after the step.
        outputs: the tensors wanted for every step.
        events: a neuron's event and the state, after the step, of its value.
    """

    label: str
    nodes: tuple[NodeProto, ...]
    carried: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    events: tuple[tuple[str, str], ...]


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


def plan_layers(parts: Parts, wanted: Iterable[str]) -> Plan:
    """How to compute the tensors ``wanted`` for every step, and all states after the last one.

    Raises:
        CannotFold: a node reads a state that it does not carry itself, or holds a graph of its own.
    """
    return _Planner(parts, set(wanted)).plan()


class _Planner:
    def __init__(self, parts: Parts, wanted: set[str]) -> None:
        self.states: dict[str, State] = {state.name: state for state in parts.manifest.states}
        self.functions: Functions = {(f.domain, f.name): f for f in parts.functions}
        self.nodes = needed(parts.step, [state.next for state in self.states.values()] + sorted(wanted))
        self.wanted = wanted
        self.events = {neuron.event for neuron in parts.manifest.neurons}
        self.reads = Counter(name for node in self.nodes for name in set(node.input))
        self.clocked = {CLOCK}
        self.constant = {tensor.name for tensor in parts.constants}
        self.waiting: dict[str, NodeProto] = {}  # tensor that one node reads -> its producer, to be part of a scan
        self.result = Plan()

    def plan(self) -> Plan:
        for node in self.nodes:
            self._place(node)
        return self.result

    def _place(self, node: NodeProto) -> None:
        if holds_graph(node):
            raise CannotFold(f"node '{node.name}' ({node.op_type}) holds a graph of its own")
        own = [self.states[name] for name in node.input if name in self.states]
        if own:
            self._place_recurrent(node, own)
            return
        kind, flat = self._kind(node), flatten([node], self.functions)
        if kind == "fold" and all(inner.op_type in ELEMENTWISE for inner in flat) and self._private(node.output):
            self.waiting[node.output[0]] = node
            return
        self._release(node)
        if kind in ("fold", "clock"):
            self.result.stacked.update(node.output)
        if kind == "clock":
            self.clocked.update(node.output)
        self._fold(node.name, kind, flat, [name for name in node.output if name])

    def _private(self, outputs: Sequence[str]) -> bool:
        """Whether a single node reads what this one gives, and nothing else."""
        return [self.reads[name] for name in outputs] == [1] and outputs[0] not in self.wanted

    def _pull(self, name: str) -> list[NodeProto]:
        """The node that waits with the tensor of that name, behind those that it waits for itself."""
        node = self.waiting.pop(name)
        return [*self._pull_all(node), node]

    def _pull_all(self, node: NodeProto) -> list[NodeProto]:
        return [pulled for name in dict.fromkeys(node.input) if name in self.waiting for pulled in self._pull(name)]

    def _release(self, node: NodeProto) -> None:
        """Gives ``node``, which is no scan, what waits for it."""
        for name in dict.fromkeys(node.input):
            if name in self.waiting:
                nodes = self._pull(name)
                if any(item in self.states for inner in nodes for item in inner.input):
                    self._emit_scan(nodes, hidden=[inner.output[0] for inner in nodes[:-1]])
                else:
                    self._fold(nodes[-1].name, "fold", flatten(nodes, self.functions), [name])
                    self.result.stacked.add(name)

    def _kind(self, node: NodeProto) -> str:
        timed = [name for name in node.input if name in self.result.stacked or name in self.waiting]
        if not timed:
            return "still"
        if gives_shape(node):
            return "shape"
        others = {name for name in node.input if name} - self.constant - self.clocked
        return "fold" if others else "clock"

    def _place_recurrent(self, node: NodeProto, own: list[State]) -> None:
        state = own[0]
        if len(own) > 1 or state.next not in node.output:
            read = ", ".join(f"'{state.name}'" for state in own)
            raise CannotFold(f"node '{node.name}' ({node.op_type}) reads the state {read} of the step before")
        if state.kind == "estimate" and self._private(node.output):
            self.waiting[state.next] = node
        else:
            self._scan(node)

    def _scan(self, node: NodeProto) -> None:
        """A neuron or an integrator; an f that is not elementwise takes all steps at once, between the two."""
        body = flatten([node], self.functions, keep=FUNCTION_DOMAIN)
        f = flatten([inner for inner in body if inner.domain == FUNCTION_DOMAIN], self.functions)
        if all(inner.op_type in ELEMENTWISE for inner in f):
            before = self._pull_all(node)
            self._emit_scan([*before, node], hidden=[inner.output[0] for inner in before])
            return
        self._release(node)
        values = [name for inner in body if inner.domain == FUNCTION_DOMAIN for name in inner.output]
        timed = self.result.stacked.intersection(name for inner in f for name in inner.input)
        self.result.stacked.update(values if timed else ())
        self._fold(f"{node.name}: f", "fold" if timed else "still", f, values)
        self._emit_scan([inner for inner in body if inner.domain != FUNCTION_DOMAIN], node.name)

    def _emit_scan(self, nodes: list[NodeProto], label: str = "", hidden: Sequence[str] = ()) -> None:
        """The scan of ``nodes``; the tensors ``hidden`` are read by nobody else."""
        flat = flatten(nodes, self.functions)
        label = label or nodes[-1].name
        strange = [inner.op_type for inner in flat if inner.op_type not in ELEMENTWISE]
        if strange:
            raise CannotFold(f"node '{label}' carries a state through {strange[0]}, which is not elementwise")
        read = {name for inner in flat for name in inner.input}
        carried = tuple((state.name, state.next) for state in self.states.values() if state.name in read)
        made = {name for inner in flat for name in inner.output}
        outputs = sorted(n for n in made if n in self.wanted or (self.reads[n] and n not in hidden))
        kept = needed(flat, [after for _, after in carried] + outputs)
        self.result.stacked.update(outputs)
        values = [state.next for state in self.states.values() if state.kind == "value" and state.next in made]
        events = tuple((event, value) for event in outputs if event in self.events for value in values)
        self.result.stages.append(Scan(label, tuple(kept), carried, tuple(outputs), events))

    def _fold(self, label: str, kind: str, nodes: list[NodeProto], outputs: list[str]) -> None:
        self.result.stages.append(Fold(label, kind, tuple(nodes), tuple(outputs)))
