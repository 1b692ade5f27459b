"""Helpers for tests of lowering: level 4 step by step in onnxruntime, beside the affine segments themselves."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spikec.artifact.assemble import assemble_part
from spikec.lowering import Recurrent, lower
from spikec.lowering.step_graph import CLOCK
from spikec.onnx_session import open_session, run_model, run_session
from spikec.passes import PlaceNeurons
from tests.models.graphs import Arrays, run_pass

KINDS = ("value", "estimate")
SCHEDULE = np.array([0.5, 0.3, 0.25, 0.15, 0.1], np.float32)


def place(model: onnx.ModelProto, amplitude: float = 0.7, initial: float = 0.0) -> onnx.ModelProto:
    """Level 3 of a model that is canonical already, with the same settings for every neuron."""
    placed, _ = run_pass(PlaceNeurons(), model)
    settings = {"/amplitude": amplitude, "/initial": initial}
    for tensor in placed.graph.initializer:
        for suffix, value in settings.items():
            if tensor.name.endswith(suffix):
                tensor.CopyFrom(numpy_helper.from_array(np.array(value, np.float32), tensor.name))
    return placed


def begin(network: Recurrent, feeds: Arrays) -> Arrays:
    """Every state's initial tensor and every held tensor, computed by the init graph."""
    inputs = {info.name for info in network.inputs}
    held = [(name, network.carried[name][0]) for name in network.held if name not in inputs]
    wanted = dict([*((state.initial, TensorProto.FLOAT) for state in network.states), *held])
    init = assemble_part(network, network.init, network.inputs, [_info(*pair) for pair in wanted.items()])
    return {**feeds, **(run_model(init, feeds) if wanted else {})}


def states_over_time(network: Recurrent, feeds: Arrays) -> Iterator[dict[str, np.ndarray]]:
    """States by name, at v(0) and after each step."""
    if not network.states:
        yield {}
        return
    started = begin(network, feeds)
    held = [(name, network.carried[name][0]) for name in network.held]
    before = [_info(state.name, TensorProto.FLOAT) for state in network.states] + [_info(*pair) for pair in held]
    after = [_info(state.next, TensorProto.FLOAT) for state in network.states]
    clock = helper.make_tensor_value_info(CLOCK, TensorProto.INT64, [])
    step = open_session(assemble_part(network, network.step, [clock, *before], after))
    states = {state.name: started[state.initial] for state in network.states}
    yield states
    for t in range(network.steps):
        found = run_session(step, {**{name: started[name] for name in network.held}, **states, CLOCK: np.array(t)})
        states = {state.name: found[state.next] for state in network.states}
        yield states


def read_out(network: Recurrent, feeds: Arrays, states: Arrays) -> Arrays:
    """The outputs that the readout makes of ``states``."""
    started = begin(network, feeds)
    final = {state.final: states[state.name] for state in network.states}
    held = {name: started[name] for name in network.held}
    infos = [_info(name, TensorProto.FLOAT) for name in final] + [_info(n, network.carried[n][0]) for n in held]
    model = assemble_part(network, network.readout_nodes(), infos, network.outputs)
    return run_model(model, {**final, **held})


def with_values(model: onnx.ModelProto, wanted: list[str], feeds: Arrays, neurons: Mapping[str, np.ndarray]) -> Arrays:
    """Tensors of the level-3 ``model`` where each neuron's output has the value given in ``neurons``."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    affine = [node for node in model.graph.node if node.domain != "spikec"]
    del cut.graph.node[:], cut.graph.output[:], cut.graph.value_info[:]
    cut.graph.node.extend(affine)
    cut.graph.input.extend(_info(name, TensorProto.FLOAT) for name in neurons)
    kinds = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    cut.graph.output.extend(_info(name, kinds.get(name, TensorProto.FLOAT)) for name in wanted)
    return run_model(cut, {**feeds, **neurons})


def assert_exact(model: onnx.ModelProto, feeds: Arrays, tolerance: float = 1e-5) -> Recurrent:
    """Assert x(t) = A(v(t)) for every estimate at every t, and the same for the outputs at the end. Returns level 4.

    A is the source's own affine segment (for the outputs with the readout behind it), bias included.
    """
    network = lower(model, SCHEDULE, "signgd")
    outer = {f"{output.name}/y": output.name for output in model.graph.output}
    kept = {kind: {outer.get(s.initial, s.initial): s.name for s in network.states if s.kind == kind} for kind in KINDS}
    for t, states in enumerate(states_over_time(network, feeds)):
        values = {tensor: states[name] for tensor, name in kept["value"].items()}
        expected = with_values(model, list(kept["estimate"]), feeds, values) if kept["estimate"] else {}
        for tensor, name in kept["estimate"].items():
            _assert_close(states[name], expected[tensor], f"{tensor} at t = {t}", tolerance)
    outputs = [output.name for output in model.graph.output if output.name not in values]
    expected, found = with_values(model, outputs, feeds, values), read_out(network, feeds, states)
    for name in outputs:
        _assert_close(found[name], expected[name], f"output {name}", tolerance)
    return network


def _assert_close(found: np.ndarray, expected: np.ndarray, what: str, tolerance: float) -> None:
    assert found.shape == expected.shape, what
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def _info(name: str, kind: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, None)
