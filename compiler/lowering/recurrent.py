"""Level 4 as a whole: init, step and readout, with the states that join them."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spikec.lowering.dynamics import leaky_integrator, neuron_function
from spikec.lowering.init_graph import init_nodes, prune
from spikec.lowering.network import Network, Neuron
from spikec.lowering.step_graph import ETA_TABLE, ZERO, State, StepGraph
from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN


@dataclass
class Recurrent:
    """A network in time: ``init(x) -> state(0), held``, ``step(state, held, t) -> state``, ``readout(state) -> y``.

    Attributes:
        init, step, readout: nodes in topological order.
        states: what is carried; ``held``: tensors of init that every step reads.
        readout_inputs: tensor of the readout (or output of the graph) -> name of the state whose final value it takes.
        constants: initializers that the three graphs share.
        functions: the neurons' functions, f first.
        neurons: level-3 view of each neuron, in topological order.
        inputs, outputs: the source model's signature.
        schedule: eta(t), float32 (T,).
    """

    init: list[onnx.NodeProto]
    step: list[onnx.NodeProto]
    readout: list[onnx.NodeProto]
    states: list[State]
    held: list[str]
    readout_inputs: dict[str, str]
    constants: list[onnx.TensorProto]
    functions: list[onnx.FunctionProto]
    neurons: list[Neuron]
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    schedule: np.ndarray
    opset: int

    def event_of(self, neuron: Neuron) -> str:
        """Name of the tensor that holds the neuron's events in the step graph."""
        return f"{neuron.name}/event"


def lower(model: onnx.ModelProto, schedule: np.ndarray, dynamics: str) -> Recurrent:
    """Split a calibrated level-3 model into init, step and readout.

    Args:
        model: level 3.
        schedule: eta(t), (T,).
        dynamics: ``signgd`` or ``subgradient``.
    """
    network = Network(_with_free_output_names(model))
    step = StepGraph(network, dynamics)
    step.build()
    states = list(step.states.values())
    readout = [_copy(node) for node in network.nodes if node.name in network.readout]
    readout += _output_wires(model, network)
    kept = prune(step.nodes, {state.next for state in states})
    read = {name for node in [*kept, *readout] for name in node.input}
    held = [name for name in step.held if name in read]
    wanted = {state.initial for state in states} | read
    init = prune(init_nodes(network) + step.extra_init, wanted)
    constants = {**network.constants, **step.constants}
    constants[ETA_TABLE] = numpy_helper.from_array(schedule.astype(np.float32), ETA_TABLE)
    constants[ZERO] = numpy_helper.from_array(np.zeros((), np.float32), ZERO)
    used = {name for node in [*init, *kept, *readout] for name in node.input}
    readout_inputs = {n: step.states[n].name for n in network.boundary if n in network.timed}
    return Recurrent(
        init=init,
        step=kept,
        readout=readout,
        states=states,
        held=held,
        readout_inputs=readout_inputs,
        constants=[tensor for name, tensor in constants.items() if name in used],
        functions=_functions(model, network, dynamics),
        neurons=list(network.neurons.values()),
        inputs=list(model.graph.input),
        outputs=list(model.graph.output),
        schedule=schedule,
        opset=next(entry.version for entry in model.opset_import if entry.domain == ""),
    )


def _with_free_output_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Outputs of the graph get an inner name: in init they are y(0), and the artifact's output is y(T)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inner = {output.name: _inner(output.name) for output in model.graph.output}
    for node in copy.graph.node:
        for names in (node.input, node.output):
            names[:] = [inner.get(name, name) for name in names]
    for output in copy.graph.output:
        output.name = inner[output.name]
    for tensor in copy.graph.initializer:
        tensor.name = inner.get(tensor.name, tensor.name)
    return copy


def _inner(output: str) -> str:
    return f"{output}/y"


def _output_wires(model: onnx.ModelProto, network: Network) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Identity", [_inner(output.name)], [output.name], name=f"{output.name}/wire")
        for output in model.graph.output
    ]


def _functions(model: onnx.ModelProto, network: Network, dynamics: str) -> list[onnx.FunctionProto]:
    """Each f that is in use, then the neurons that hold them."""
    by_name = {function.name: function for function in model.functions if function.domain == FUNCTION_DOMAIN}
    pairs = dict.fromkeys((neuron.function, neuron.coding) for neuron in network.neurons.values())
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    bodies = [f for f in model.functions if f.domain == FUNCTION_DOMAIN]
    neurons = [neuron_function(by_name[name], dynamics, coding) for name, coding in pairs]
    if dynamics == "subgradient":
        neurons.append(leaky_integrator(opset))
    return bodies + neurons


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


__all__ = ["NEURON_DOMAIN", "Recurrent", "State", "lower"]
