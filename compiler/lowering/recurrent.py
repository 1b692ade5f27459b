"""Level 4 as a whole: init, step and readout, with the states that join them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx
from onnx import numpy_helper

from spikec.lowering.dynamics import leaky_integrator, neuron_function
from spikec.lowering.init_graph import init_nodes, prune, start_of
from spikec.lowering.network import Network, Neuron, Shape
from spikec.lowering.readout import Affine, readout_graph, with_free_output_names
from spikec.lowering.step_graph import ZERO, ZEROS, StepGraph
from spikec.passes.operators import FUNCTION_DOMAIN
from spikec.runtime.manifest import State


@dataclass
class Recurrent:
    """A network in time: ``init(x) -> state(0), held``, ``step(state, held, t) -> state``, ``readout(state) -> y``.

    Attributes:
        init, step, readout: nodes in topological order.
        states: what is carried.
        held: tensors that steps or readout read and that do not change with time (of init, or inputs).
        carried: type and shape of every state's initial tensor and every held tensor, as far as known.
        readout_inputs: tensor of the readout (or output of the graph) -> name of the state whose final value it takes.
        constants: initializers that the three graphs share.
        functions: the neurons' functions, f first.
        neurons: level-3 view of each neuron, in topological order.
        inputs, outputs: the source model's signature.
        schedules: eta(t), (T,), of every neuron by its name.
        dead_zones: theta(t), (T,), of every ternary neuron by its name.
        offsets: what is added to v(0) behind a neuron, by its name.
        corrections: what the readout makes of an estimate first, by the name of its tensor in level 3.
        steps: T.
    """

    init: list[onnx.NodeProto]
    step: list[onnx.NodeProto]
    readout: list[onnx.NodeProto]
    states: list[State]
    held: list[str]
    carried: dict[str, tuple[int, Shape | None]]
    readout_inputs: dict[str, str]
    constants: list[onnx.TensorProto]
    functions: list[onnx.FunctionProto]
    neurons: list[Neuron]
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    schedules: Mapping[str, np.ndarray]
    dead_zones: Mapping[str, np.ndarray]
    offsets: Mapping[str, np.ndarray]
    corrections: Mapping[str, Affine]
    steps: int
    opset: int

    def readout_nodes(self) -> list[onnx.NodeProto]:
        """The readout on the states after the last step."""
        names = {state.name: state.final for state in self.states}
        finals = {tensor: names[state] for tensor, state in self.readout_inputs.items()}
        nodes = [_copy(node) for node in self.readout]
        for node in nodes:
            node.input[:] = [finals.get(name, name) for name in node.input]
        return nodes


def lower(
    model: onnx.ModelProto,
    schedule: np.ndarray | Mapping[str, np.ndarray],
    dynamics: str,
    dead_zone: float | Mapping[str, np.ndarray] = 0.0,
    offsets: Mapping[str, np.ndarray] = MappingProxyType({}),
    corrections: Mapping[str, Affine] = MappingProxyType({}),
) -> Recurrent:
    """Split a calibrated level-3 model into init, step and readout.

    Args:
        model: level 3.
        schedule: eta(t), (T,): one for all neurons, or one for each by its name, all of the same length.
        dynamics: ``signgd`` or ``subgradient`` (one schedule for all).
        dead_zone: theta of the signGD neurons, or theta(t), (T,), for each by its name; 0 for binary ones.
        offsets: by neuron name, what the segments behind it see added to its output at all times; for neurons that no
            other reads directly (``unread_by_neurons``).
        corrections: by tensor of ``Network.boundary`` that changes with time; no neuron sees them.
    """
    network = Network(with_free_output_names(model))
    schedules = schedule if isinstance(schedule, Mapping) else dict.fromkeys(network.neurons, schedule)
    ternary = _dead_zones(network, schedules, dynamics, dead_zone)
    shifts = {name: f"{name}/offset" for name in offsets}
    step = StepGraph(network, dynamics, schedules, ternary, shifts)
    step.build()
    states = list(step.states.values())
    readout, own = readout_graph(model, network, corrections)
    kept = prune(step.nodes, {state.next for state in states}) if states else []
    constants = {**network.constants, **step.constants, **own}
    constants |= {f"{n}/offset": numpy_helper.from_array(a, f"{n}/offset") for n, a in offsets.items()}
    constants[ZERO] = numpy_helper.from_array(np.zeros((), np.float32), ZERO)
    held = _held(network, constants, kept, readout, {n for n in network.boundary if n in network.timed})
    init = prune(init_nodes(network, shifts) + step.extra_init, {state.initial for state in states} | set(held))
    used = {name for node in [*init, *kept, *readout] for name in node.input}
    readout_inputs = {n: step.states[n].name for n in network.boundary if n in network.timed}
    return Recurrent(
        init=init,
        step=kept,
        readout=readout,
        states=states,
        held=held,
        carried=_types(network, [*(state.initial for state in states), *held]),
        readout_inputs=readout_inputs,
        constants=[tensor for name, tensor in constants.items() if name in used],
        functions=_functions(model, list(network.neurons.values()), dynamics, ternary),
        neurons=list(network.neurons.values()),
        inputs=list(model.graph.input),
        outputs=list(model.graph.output),
        schedules=schedules,
        dead_zones=ternary,
        offsets=offsets,
        corrections=corrections,
        steps=len(next(iter(schedules.values()), ())),
        opset=next(entry.version for entry in model.opset_import if entry.domain == ""),
    )


def _dead_zones(
    network: Network,
    schedules: Mapping[str, np.ndarray],
    dynamics: str,
    dead_zone: float | Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """theta(t) of the neurons that have one: it is the ternary signGD neurons that do."""
    able = [neuron.name for neuron in network.neurons.values() if dynamics == "signgd" and neuron.coding == "sign"]
    if not isinstance(dead_zone, Mapping):
        dead_zone = {name: np.full(len(schedules[name]), dead_zone) for name in able}
    return {name: dead_zone[name] for name in able if np.any(dead_zone[name])}


def _held(
    network: Network,
    constants: dict[str, onnx.TensorProto],
    step: list[onnx.NodeProto],
    readout: list[onnx.NodeProto],
    final: set[str],
) -> list[str]:
    """What steps and readout read of init and of the inputs."""
    available = {name for node in network.core for name in node.output}
    available |= {info.name for info in network.model.graph.input}
    own = {name for node in [*step, *readout] for name in node.output}
    read = dict.fromkeys(name for node in step for name in node.input)
    read |= dict.fromkeys(name for node in readout for name in node.input if name not in final)
    zeros = {name for name in read if name.endswith(ZEROS)}
    return [n for n in read if n not in own and n not in constants and n in available | zeros]


def _types(network: Network, names: list[str]) -> dict[str, tuple[int, Shape | None]]:
    graph = network.model.graph
    types = {info.name: info.type.tensor_type.elem_type for info in [*graph.value_info, *graph.input, *graph.output]}
    starts = {start_of(neuron): neuron.output for neuron in network.neurons.values()}
    plain = {name: starts.get(name, name.removesuffix(ZEROS)) for name in names}
    return {n: (types.get(plain[n], onnx.TensorProto.FLOAT), network.shapes.get(plain[n])) for n in names}


def _functions(
    model: onnx.ModelProto, neurons: list[Neuron], dynamics: str, ternary: Collection[str]
) -> list[onnx.FunctionProto]:
    """Each f that is in use, then the neurons that hold them."""
    bodies = {f.name: f for f in model.functions if f.domain == FUNCTION_DOMAIN}
    kinds = dict.fromkeys((neuron.function, neuron.coding, neuron.name in ternary) for neuron in neurons)
    functions = list(bodies.values())
    functions += [neuron_function(bodies[name], dynamics, coding, dead) for name, coding, dead in kinds]
    if dynamics == "subgradient":
        functions.append(leaky_integrator(next(entry.version for entry in model.opset_import if entry.domain == "")))
    return functions


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
