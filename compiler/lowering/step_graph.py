"""The step graph: the linear part of the network with a neuron's dynamics in the place of each nonlinearity."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spikec.lowering.dynamics import operator_name
from spikec.lowering.init_graph import start_of, zeros_nodes
from spikec.lowering.linear_part import linear_part
from spikec.lowering.network import Network, Neuron
from spikec.passes.operators import NEURON_DOMAIN
from spikec.runtime.manifest import State

CLOCK, ZERO = "spikec/t", "spikec/zero"
ZEROS = "/zeros"  # behind a tensor's name: zeros of its shape


@dataclass
class StepGraph:
    """Builds the step graph of ``network`` node by node, collecting states and what it needs from init."""

    network: Network
    dynamics: str
    schedules: Mapping[str, np.ndarray]  # neuron -> eta(t)
    dead_zones: Mapping[str, np.ndarray] = field(default_factory=dict)  # ternary neuron -> theta(t)
    offsets: Mapping[str, str] = field(default_factory=dict)  # neuron -> tensor added to v(0) behind it
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    extra_init: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    held: dict[str, None] = field(default_factory=dict)  # tensors of init that steps read, in order of first use
    deltas: dict[str, str] = field(default_factory=dict)  # tensor -> its delta in the step graph
    resolved: dict[str, str] = field(default_factory=dict)
    clocked: dict[bytes, str] = field(default_factory=dict)  # table -> this step's entry of it

    def build(self) -> None:
        """Emit all nodes; afterwards ``nodes``, ``states`` and ``held`` are complete."""
        for node in self.network.core:
            if node.domain == NEURON_DOMAIN:
                self._emit_neuron(self.network.neurons[node.name])
            elif self.network.timed_positions(node):
                self._emit_linear(node)
        for name in self.network.boundary:
            if name in self.network.timed:
                self.estimate(name)

    def estimate(self, name: str) -> str:
        """The tensor, in this step, that holds the current estimate of tensor ``name``."""
        if name not in self.network.timed:
            return self.parameter(name)
        producer = self.network.producer[name]
        if producer.domain == NEURON_DOMAIN:  # no weights in between: the estimate is what the neuron has sent
            return self.states[name].next
        if name not in self.states:
            state = State(f"{name}/estimate", "estimate", name, f"{name}/estimate_next")
            self.states[name] = state
            self.nodes.append(self._integrate(state, self.deltas[name]))
        return self.states[name].next

    def parameter(self, name: str) -> str:
        """See ``Scope``: a constant, a shape recomputed here, or a tensor held from init."""
        if name in self.network.constants:
            return name
        if name not in self.resolved:
            self.resolved[name] = self._resolve(name)
        return self.resolved[name]

    def zeros_like(self, name: str) -> str:
        """See ``Scope``."""
        zeros = f"{name}{ZEROS}"
        array = self.network.array(name)
        if array is not None:
            self.constants[zeros] = numpy_helper.from_array(np.zeros_like(array), zeros)
        elif zeros not in self.held:
            self.extra_init.extend(zeros_nodes(name, zeros, ZERO))
            self.held[zeros] = None
        return zeros

    def same_shape(self, name: str, other: str) -> bool:
        """See ``Scope``."""
        shape = self.network.shapes.get(name)
        return shape is not None and None not in shape and shape == self.network.shapes.get(other)

    def _resolve(self, name: str) -> str:
        """Shape arithmetic is repeated on deltas, which have their tensors' shapes; all else is held from init."""
        node = self.network.producer.get(name)
        if node is None or name in self.network.path.tensors:
            return self._hold(name)
        if node.op_type in ("Shape", "Size"):
            delta = self.deltas.get(node.input[0])
            inputs = [delta] if delta else list(node.input)
        else:
            inputs = [self.parameter(item) if item else "" for item in node.input]
        if inputs == list(node.input) or all(item in self.held or item in self.network.constants for item in inputs):
            return self._hold(name)
        outputs = [f"{item}/step" if item else "" for item in node.output]
        copy = helper.make_node(node.op_type, inputs, outputs, name=f"{node.name}/step")
        copy.attribute.extend(node.attribute)
        self.nodes.append(copy)
        self.resolved.update(zip(node.output, outputs, strict=True))  # a Split of a shape is repeated once
        return f"{name}/step"

    def _hold(self, name: str) -> str:
        self.held[name] = None
        return name

    def _emit_linear(self, node: onnx.NodeProto) -> None:
        deltas = {i: self.deltas[node.input[i]] for i in self.network.timed_positions(node)}
        delta = f"{node.output[0]}/delta"
        nodes = linear_part(node, deltas, delta, self)
        self.nodes.extend(nodes)
        self.deltas[node.output[0]] = delta if nodes else next(iter(deltas.values()))
        self.deltas.update((name, f"{name}/delta") for name in node.output[1:] if name)

    def _emit_neuron(self, neuron: Neuron) -> None:
        inputs = [self.estimate(name) for name in neuron.values]
        parameters = [self.parameter(name) for name in neuron.parameters]
        start = start_of(neuron) if neuron.name in self.offsets else neuron.output
        state = State(f"{neuron.name}/value", "value", start, f"{neuron.name}/value_next")
        self.states[neuron.output] = state
        self.deltas[neuron.output] = f"{neuron.name}/event"
        theta = self.dead_zones.get(neuron.name)
        operator = operator_name(neuron.function, self.dynamics, neuron.coding, theta is not None)
        arguments = [*inputs, *parameters, state.name, self._now("eta", self.schedules[neuron.name]), neuron.amplitude]
        arguments += [] if theta is None else [self._now("theta", theta)]
        outputs = [state.next, self.deltas[neuron.output]]
        self.nodes.append(helper.make_node(operator, arguments, outputs, name=neuron.name, domain=NEURON_DOMAIN))

    def _now(self, what: str, table: np.ndarray) -> str:
        """The entry of ``table`` at the clock: this step's size or dead zone. Neurons with equal tables share it."""
        table = table.astype(np.float32)
        if table.tobytes() not in self.clocked:
            name = f"spikec/{what}{len(self.clocked)}"
            self.clocked[table.tobytes()] = name
            self.constants[f"{name}/table"] = numpy_helper.from_array(table, f"{name}/table")
            self.nodes.append(helper.make_node("Gather", [f"{name}/table", CLOCK], [name], name=name))
        return self.clocked[table.tobytes()]

    def _integrate(self, state: State, delta: str) -> onnx.NodeProto:
        name = f"{state.name}/integrate"
        if self.dynamics == "signgd":
            return helper.make_node("Add", [state.name, delta], [state.next], name=name)
        eta = self._now("eta", next(iter(self.schedules.values())))  # forgetting has one clock for the whole network
        inputs = [state.name, self._hold(state.initial), delta, eta]
        return helper.make_node("LeakyIntegrate", inputs, [state.next], name=name, domain=NEURON_DOMAIN)
