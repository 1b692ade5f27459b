"""From an artifact, its wiring and what was measured to the rows of the ledger."""

from dataclasses import dataclass
from functools import cached_property

from onnx import NodeProto

from spikec.ledger.entries import Entry, Layer, NeuronCost
from spikec.ledger.fan_out import FanOut
from spikec.ledger.measure import Measured
from spikec.ledger.operations import WEIGHTED, usual_macs, work_of
from spikec.ledger.probe import Probe, opened
from spikec.ledger.wiring import Receiver, Wiring
from spikec.ledger.work import NOTHING, Work
from spikec.passes.operators import FUNCTION_DOMAIN
from spikec.runtime.parts import Parts

_CORRECTIONS = ("/readout/scaled", "/readout/corrected")  # the readout's own, not the trained network's


@dataclass
class Counting:
    """Counts operator by operator and neuron by neuron, for one sample and ``steps`` steps."""

    parts: Parts
    wiring: Wiring
    probe: Probe
    measured: Measured
    steps: int

    def layers(self) -> list[Layer]:
        """Operators with weights, sums, events past no weights; products of two activations."""
        received = [self._received(receiver) for receiver in self.wiring.receivers]
        return [*self._of_input(), *received, *self._products()]

    def neurons(self) -> list[NeuronCost]:
        """Each neuron node."""
        return [self._neuron(node) for node in self.wiring.neurons]

    def rest(self) -> list[Entry]:
        """Other arithmetic between neurons, sums over time, and the readout."""
        before = [node for node in self._input_nodes if node.op_type not in WEIGHTED]
        between = [
            Entry(node.name, node.op_type, "elementwise", *self._once(node, self._work([node]))) for node in before
        ]
        between += [self._elementwise(node, spikes) for node, spikes in self.wiring.linear]
        between += [self._integrate(node) for node in self.wiring.integrators]
        readout = [self._readout(node) for node in self.parts.readout]
        return [entry for entry in [*between, *readout] if entry.ann != NOTHING or entry.snn != NOTHING]

    @cached_property
    def _fan_out(self) -> FanOut:
        return FanOut(self.wiring, self.probe)

    @cached_property
    def _input_nodes(self) -> list[NodeProto]:
        """Nodes of init whose values differ from sample to sample and reach a state, a step or the readout."""
        moving = {info.name for info in self.parts.inputs}
        nodes = []
        for node in self.parts.init:
            if node.op_type not in ("Shape", "Size") and moving.intersection(node.input):
                moving.update(name for name in node.output if name)
                nodes.append(node)
        wanted = {state.initial for state in self.parts.manifest.states} | set(self.parts.manifest.held)
        wanted |= {name for node in self.parts.readout for name in node.input}
        kept = []
        for node in reversed(nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        return opened(kept[::-1], self.parts)

    def _of_input(self) -> list[Layer]:
        found = []
        for node in (node for node in self._input_nodes if node.op_type in WEIGHTED):
            macs = self._fan_out.macs(node)
            work = Work(macs=macs, fetches=macs)
            ann, events, fixed = self._once(node, work)
            usual = self._usual(node) if ann != NOTHING else 0.0
            found.append(Layer(node.name, node.op_type, "input", ann, events, fixed, usual_macs=usual))
        return found

    def _once(self, node: NodeProto, work: Work) -> tuple[Work, Work, Work]:
        """ANN, events, fixed: where events reach an operator too, the steps' row holds the trained network's part."""
        return (NOTHING if node.name in self._stepped else work), NOTHING, work

    @cached_property
    def _stepped(self) -> set[str]:
        """Operators that are evaluated at each step."""
        nodes = [receiver.node for receiver in self.wiring.receivers if receiver.kind != "direct"]
        return {_plain(node) for node in [*nodes, *(node for node, _ in self.wiring.linear)]}

    def _received(self, receiver: Receiver) -> Layer:
        node, tensor = receiver.node, receiver.tensor
        ann, usual = NOTHING, 0.0
        if receiver.kind == "sum":
            ann = self._work([node])
        elif receiver.kind == "weights":
            macs = self._fan_out.macs(node)
            ann, usual = Work(macs=macs, fetches=macs), self._usual(node)
        values = self._meeting(receiver, self.measured.total(tensor, self.probe.samples), ann)
        events, fixed = self._spikes(receiver, ann) if receiver.spikes else (NOTHING, _of_values(receiver, values))
        return Layer(
            _plain(node), "" if receiver.kind == "direct" else node.op_type, receiver.kind, ann, events, fixed,
            usual_macs=usual, arrivals=self._arrivals(receiver), merged=values, spiking=receiver.spikes,
            sources=self._names(receiver),
        )  # fmt: skip

    def _meeting(self, receiver: Receiver, arrivals: float, ann: Work) -> float:
        """Operations of so many values that reach a receiver; of a sum as many as one causes on average."""
        if receiver.kind == "sum":
            return arrivals * ann.adds / self.probe.size(receiver.tensor)
        return self._fan_out.of_values(receiver, self.measured.counts[receiver.tensor])

    def _arrivals(self, receiver: Receiver) -> float:
        tensors = receiver.leaves if receiver.spikes else (receiver.tensor,)
        return sum(self.measured.total(name, self.probe.samples) for name in tensors)

    def _spikes(self, receiver: Receiver, ann: Work) -> tuple[Work, Work]:
        """What events cause, and what is done whether there are any or not."""
        if receiver.kind == "sum":
            return Work(accumulates=self._meeting(receiver, self._arrivals(receiver), ann)), NOTHING
        accumulates = self._fan_out.of_events(receiver, self.measured.counts)
        if receiver.kind == "direct":
            return Work(accumulates=accumulates), NOTHING
        return Work(accumulates=accumulates, fetches=accumulates), self._sized(receiver)

    def _sized(self, receiver: Receiver) -> Work:
        """Weights are added for each step size apart; then each sum is multiplied by its eta(t)."""
        tables = {tuple(self.wiring.rows[leaf]["eta"][: self.steps]) for leaf in receiver.leaves}
        changing = sum(len(set(table)) > 1 for table in tables)
        outputs = self.probe.size(receiver.node.output[0]) * self.steps
        return Work(multiplies=outputs * changing, adds=outputs * (len(tables) - 1))

    def _products(self) -> list[Layer]:
        """Multiply-accumulates inside of neurons, at each step anew."""
        found = []
        for node in self.wiring.neurons:
            once = self._work(self._function(node))
            if once.macs:
                work = Work(macs=once.macs, fetches=once.fetches)
                operator = next(inner.op_type for inner in self._function(node) if inner.op_type in WEIGHTED)
                found.append(
                    Layer(node.name, operator, "product", work, fixed=work * self._times(node), usual_macs=once.macs)
                )
        return found

    def _neuron(self, node: NodeProto) -> NeuronCost:
        event = self.wiring.event_of(node)
        row, size = self.wiring.rows[event], self.probe.size(event)
        once = self._elementary(self._function(node))
        own = [inner for inner in opened([node], self.parts, FUNCTION_DOMAIN) if inner.domain != FUNCTION_DOMAIN]
        moved = self._elementary(opened(own, self.parts)) * self.steps
        memory = Work(reads=size + self._looked_up(node), writes=size) * self.steps
        f = once * self._times(node)
        encoder = row["kind"] == "encoder"
        return NeuronCost(
            node.name, row["function"], row["kind"],
            ann=NOTHING if encoder else once + Work(reads=size, writes=size),
            fixed=f + moved + memory, coding=row["coding"], neurons=size,
            sent=self.measured.total(event, self.probe.samples), steps=self.steps, evaluations=self._times(node), f=f,
        )  # fmt: skip

    def _times(self, node: NodeProto) -> int:
        """How often a neuron's f is evaluated: once if its inputs never change."""
        return self.steps if self.wiring.changes(node) else 1

    def _looked_up(self, node: NodeProto) -> float:
        """Numbers that a neuron reads at each step besides v; estimates are at hand, their integrator has read them."""
        if not self.wiring.changes(node):  # f of what never changes, once evaluated
            return self.probe.size(self.wiring.event_of(node))
        values = {state.next for state in self.parts.manifest.states if state.kind == "value"}
        return sum(self.probe.size(name) for name in node.input if name in values)

    def _function(self, node: NodeProto) -> list[NodeProto]:
        """The nodes of a neuron's f."""
        inner = opened([node], self.parts, FUNCTION_DOMAIN)
        return opened([item for item in inner if item.domain == FUNCTION_DOMAIN], self.parts)

    def _elementwise(self, node: NodeProto, spikes: bool) -> Entry:
        once = self._work(opened([node], self.parts))
        return Entry(_plain(node), node.op_type, "elementwise", once, fixed=NOTHING if spikes else once * self.steps)

    def _integrate(self, node: NodeProto) -> Entry:
        size = self.probe.size(node.output[0])
        once = self._work(opened([node], self.parts)) + Work(reads=size, writes=size)
        return Entry(_plain(node), node.op_type, "integrate", fixed=once * self.steps)

    def _readout(self, node: NodeProto) -> Entry:
        once = self._work(opened([node], self.parts))
        own = node.name.endswith(_CORRECTIONS)
        return Entry(node.name, node.op_type, "readout", NOTHING if own else once, fixed=once)

    def _elementary(self, nodes: list[NodeProto]) -> Work:
        """Without products, which have rows of their own."""
        return self._work([node for node in nodes if node.op_type not in WEIGHTED])

    def _work(self, nodes: list[NodeProto]) -> Work:
        return sum((work_of(node, self.probe.shapes) for node in nodes), NOTHING) * (1 / self.probe.samples)

    def _usual(self, node: NodeProto) -> float:
        return usual_macs(node, self.probe.shapes) / self.probe.samples

    def _names(self, receiver: Receiver) -> tuple[str, ...]:
        rows = self.wiring.rows
        return tuple(rows[leaf]["name"] if leaf in rows else leaf.removesuffix("/delta") for leaf in receiver.leaves)


def _of_values(receiver: Receiver, operations: float) -> Work:
    """Values are multiplied by weights; elsewhere they are added."""
    return Work(macs=operations, fetches=operations) if receiver.kind == "weights" else Work(adds=operations)


def _plain(node: NodeProto) -> str:
    """The name in the source."""
    return str(node.name or node.output[0]).removesuffix("/step").removesuffix("/integrate").removesuffix("/estimate")
