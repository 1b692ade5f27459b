"""Takes the step graph apart into what is computed once, what takes all steps at once, and what scans over time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from onnx import NodeProto

from spikec.runtime.layers.elementwise import ELEMENTWISE
from spikec.runtime.layers.flatten import Functions, flatten
from spikec.runtime.layers.plan import CannotFold, Fold, Plan, Scan, Stage, gives_shape, holds_graph
from spikec.runtime.layers.triton_rows import ROWS, constant_axes, known_axes, row_axis
from spikec.runtime.layers.triton_source import writable
from spikec.runtime.manifest import State
from spikec.runtime.parts import CLOCK, Parts, needed

FUNCTION_DOMAIN = "spikec.f"  # of a neuron's f, which its dynamics call
_SUMS = frozenset({"Add", "Div", "Identity", "Mul", "Neg", "Sub", "Sum"})  # what the sums of events are made of


@dataclass
class _Waiting:
    """Nodes that may become part of the scan that reads their last tensor."""

    nodes: list[NodeProto]
    label: str
    estimate: bool = False  # of a neuron's input

    @property
    def inputs(self) -> list[str]:
        made = {name for node in self.nodes for name in node.output}
        return [n for n in dict.fromkeys(name for node in self.nodes for name in node.input) if n not in made]


def plan_layers(parts: Parts, wanted: Iterable[str], *, fused: bool = False) -> Plan:
    """How to compute the tensors ``wanted`` for every step, and all states after the last one.

    Args:
        parts: the artifact.
        wanted: tensors of the step graph.
        fused: for kernels that hold whole rows and give any tensor beside their states: a neuron on rows is one scan,
            neurons that nobody else hears become part of the one that does, and sums part of the scan that reads them.

    Raises:
        CannotFold: a node reads a state that it does not carry itself, or holds a graph of its own.
    """
    return _Planner(parts, set(wanted), fused).plan()


class _Planner:
    def __init__(self, parts: Parts, wanted: set[str], fused: bool) -> None:
        self.states: dict[str, State] = {state.name: state for state in parts.manifest.states}
        self.functions: Functions = {(f.domain, f.name): f for f in parts.functions}
        self.nodes = needed(parts.step, [state.next for state in self.states.values()] + sorted(wanted))
        self.wanted, self.fused = wanted, fused
        self.events = {neuron.event for neuron in parts.manifest.neurons}
        self.values: dict[str, str] = {}  # a neuron's event -> the state, after the step, of its value
        self.reads = Counter(name for node in self.nodes for name in set(node.input))
        self.clocked = {CLOCK}
        self.constant = {tensor.name for tensor in parts.constants}
        self.axes = known_axes(parts.constants)
        self.waiting: dict[str, _Waiting] = {}  # by the tensor that is waited for
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
        if kind == "fold" and self._may_wait(node, flat):
            self.waiting[node.output[0]] = _Waiting([node], node.name)
            return
        self._release(node.input)
        if kind in ("fold", "clock"):
            self.result.stacked.update(node.output)
        if kind == "clock":
            self.clocked.update(node.output)
        self._fold(node.name, kind, flat, [name for name in node.output if name])

    def _may_wait(self, node: NodeProto, flat: Sequence[NodeProto]) -> bool:
        operators = {inner.op_type for inner in flat}
        if self.fused and operators <= _SUMS and self.wanted.isdisjoint(node.output):
            return True
        held = operators <= ELEMENTWISE and (writable(flat) or not self.fused)
        return held and self._private(node.output)

    def _private(self, outputs: Sequence[str]) -> bool:
        """Whether a single node reads the first of these tensors, and nothing else."""
        reads = [self.reads[name] for name in outputs if name]
        return reads == [1, *[0] * (len(reads) - 1)] and not self.wanted.intersection(outputs)

    def _pull(self, name: str, alone: bool) -> list[NodeProto]:
        """The nodes that wait with the tensor of that name, behind those that they wait for themselves."""
        found = self.waiting.pop(name)
        return [*self._pull_all(found.inputs, shared=alone and found.estimate), *found.nodes]

    def _pull_all(self, names: Sequence[str], *, shared: bool = False) -> list[NodeProto]:
        """What waits with tensors of these names; one that others read too only if it may be ``shared``.

        A scan gives a shared tensor in the shape of its states, so it may be what a single input estimate adds up.
        """
        waiting = [name for name in dict.fromkeys(names) if name in self.waiting]
        pulled: list[NodeProto] = []
        for name in waiting:
            if name not in self.waiting:  # pulled with one before
                continue
            if self.reads[name] > 1 and not shared:
                self._release([name])
            else:
                pulled += self._pull(name, len(waiting) == 1)
        return pulled

    def _release(self, names: Sequence[str]) -> None:
        """Makes stages of what waits with tensors of these names, for a node that is no scan."""
        for name in [name for name in dict.fromkeys(names) if name in self.waiting]:
            label = self.waiting[name].label
            nodes = self._pull(name, alone=True)
            sums = self.fused and all(inner.op_type in _SUMS for inner in flatten(nodes, self.functions))
            if sums or any(item in self.states for inner in nodes for item in inner.input):
                self.result.stages.append(self._scan_of(nodes, label, hidden=self._hidden(nodes, but=name)))
            else:
                self._fold(label, "fold", flatten(nodes, self.functions), [name])
            self.result.stacked.add(name)

    def _hidden(self, nodes: Sequence[NodeProto], but: str = "") -> set[str]:
        """The tensors made by ``nodes`` that one node alone reads, which is one of them or the one they are for."""
        return {name for node in nodes for name in node.output if name != but and self.reads[name] <= 1}

    def _kind(self, node: NodeProto) -> str:
        timed = [name for name in node.input if self._timed(name)]
        if not timed:
            return "still"
        if gives_shape(node):
            return "shape"
        others = {name for name in node.input if name} - self.constant - self.clocked
        return "fold" if others else "clock"

    def _timed(self, name: str) -> bool:
        return name in self.result.stacked or name in self.waiting

    def _place_recurrent(self, node: NodeProto, own: list[State]) -> None:
        state = own[0]
        if len(own) > 1 or state.next not in node.output:
            read = ", ".join(f"'{state.name}'" for state in own)
            raise CannotFold(f"node '{node.name}' ({node.op_type}) reads the state {read} of the step before")
        if state.kind == "estimate" and self._private(node.output):
            self.waiting[state.next] = _Waiting([node], node.name, estimate=True)
            return
        if state.kind == "value":
            self.values |= {name: state.next for name in node.output if name in self.events}
        self._neuron(node, state)

    def _neuron(self, node: NodeProto, state: State) -> None:
        """A neuron or an integrator; an f that is not elementwise takes all steps at once, between the two."""
        body = flatten([node], self.functions, keep=FUNCTION_DOMAIN)
        f = flatten([inner for inner in body if inner.domain == FUNCTION_DOMAIN], self.functions)
        whole = flatten([node], self.functions)
        row = self._row(f, whole) if self.fused else None
        simple = all(inner.op_type in ELEMENTWISE for inner in f)
        if not simple and row is None:
            read = [name for inner in f for name in inner.input]
            self._release(node.input)
            values = [name for inner in body if inner.domain == FUNCTION_DOMAIN for name in inner.output]
            timed = self.result.stacked.intersection(read)
            self.result.stacked.update(values if timed else ())
            self._fold(f"{node.name}: f", "fold" if timed else "still", f, values)
            whole = [inner for inner in body if inner.domain != FUNCTION_DOMAIN]
        if self.fused and row is None and writable(whole) and self._unheard(node, state):
            self.waiting[state.next] = _Waiting(whole, node.name)
            return
        before = self._pull_all(node.input)
        hidden = self._hidden(before)
        scan = self._scan_of([*before, *whole], node.name, hidden=hidden)
        if row is not None:
            scan = replace(scan, row=row, apart=self._apart(before, f, whole, scan))
        self.result.stages.append(scan)

    def _unheard(self, node: NodeProto, state: State) -> bool:
        """Whether a single node reads the neuron's value, and none its events."""
        return self._private([state.next, *(name for name in node.output if name != state.next)])

    def _row(self, f: Sequence[NodeProto], whole: Sequence[NodeProto]) -> int | None:
        """The axis of the rows on which f works, if a kernel can hold them."""
        axes = self.axes | constant_axes(f)
        timed = {name for inner in f for name in inner.input if self._timed(name)}
        return row_axis(f, timed, axes) if writable(whole) else None

    def _apart(
        self, before: Sequence[NodeProto], f: Sequence[NodeProto], whole: Sequence[NodeProto], scan: Scan
    ) -> tuple[Stage, ...]:
        """The stages that do without rows: what comes before f, f for all steps, and the neuron's dynamics."""
        read = {name for inner in f for name in inner.input}
        made = {name for inner in before for name in inner.output}
        given = {name for inner in f for name in inner.output}
        rest = [inner for inner in whole if not given.issuperset(inner.output)]
        values = sorted(given.intersection(name for inner in rest for name in inner.input))
        self.result.stacked.update(values)
        fold = Fold(f"{scan.label}: f", "fold", tuple(f), tuple(values))
        last = self._scan_of(rest, scan.label)
        if not before:
            return fold, last
        first = self._scan_of(before, scan.label, hidden=made - read - set(scan.outputs))
        return replace(first, outputs=tuple(sorted(made & (read | set(scan.outputs))))), fold, last

    def _scan_of(self, nodes: Sequence[NodeProto], label: str, hidden: Iterable[str] = ()) -> Scan:
        """The scan of ``nodes``; the tensors ``hidden`` are read by nobody else."""
        flat = flatten(nodes, self.functions)
        strange = [inner.op_type for inner in flat if inner.op_type not in ELEMENTWISE and inner.op_type not in ROWS]
        if strange:
            raise CannotFold(f"node '{label}' carries a state through {strange[0]}, which is not elementwise")
        read = {name for inner in flat for name in inner.input}
        carried = tuple((state.name, state.next) for state in self.states.values() if state.name in read)
        made = {name for inner in flat for name in inner.output}
        outputs = sorted(n for n in made if n in self.wanted or (self.reads[n] and n not in hidden))
        kept = needed(flat, [after for _, after in carried] + outputs)
        self.result.stacked.update(outputs)
        events = tuple((event, self.values[event]) for event in outputs if event in self.values)
        return Scan(label, tuple(kept), carried, tuple(outputs), events)

    def _fold(self, label: str, kind: str, nodes: list[NodeProto], outputs: list[str]) -> None:
        self.result.stages.append(Fold(label, kind, tuple(nodes), tuple(outputs)))
