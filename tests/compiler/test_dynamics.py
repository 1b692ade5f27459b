"""The body of each dynamics function, alone in onnxruntime, against the equations written in numpy."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spikec.lowering.dynamics import leaky_integrator, neuron_function, operator_name
from spikec.onnx_session import run_model
from tests.models.graphs import normal

SHAPE = (3, 4)
X, V = normal(*SHAPE), normal(*SHAPE, seed=1)
ETA = np.array(0.3, np.float32)


def f_function(nodes, inputs=("x0",)):
    """``spikec.f::F(inputs) -> y`` of nodes in ONNX text form."""
    graph = onnx.parser.parse_graph(f"g ({', '.join(f'float {name}' for name in inputs)}) => (float y) {{ {nodes} }}")
    return helper.make_function("spikec.f", "F", list(inputs), ["y"], graph.node, [helper.make_opsetid("", 20)])


RELU, IDENTITY = f_function("y = Relu(x0)"), f_function("y = Identity(x0)")
GATE = f_function("s = Sigmoid(x1) m = Mul(x0, s) y = Mul(m, p0)", ("x0", "x1", "p0"))


def call(functions, name, feeds, outputs):
    """One call of ``spikec::name`` on all feeds, in their order."""
    infos = [helper.make_tensor_value_info(key, TensorProto.FLOAT, np.shape(value)) for key, value in feeds.items()]
    shape = np.broadcast_shapes(*(np.shape(value) for value in feeds.values()))
    results = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape) for output in outputs]
    node = helper.make_node(name, list(feeds), list(outputs), domain="spikec")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("spikec", 1), helper.make_opsetid("spikec.f", 1)]
    graph = helper.make_graph([node], "g", infos, results)
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
    onnx.checker.check_model(model)
    return tuple(run_model(model, {key: np.asarray(value, np.float32) for key, value in feeds.items()}).values())


def fire(f, dynamics, coding="sign", *, x=X, v=V, eta=ETA, amplitude=0.7, dead_zone=0.0):
    neuron = neuron_function(f, dynamics, coding, dead_zone > 0)
    feeds = {"x0": x, "v": v, "eta": eta, "amplitude": amplitude, **({"theta": dead_zone} if dead_zone else {})}
    return call([f, neuron], neuron.name, feeds, ["v_next", "d"])


def test_sign_descent():
    after, event = fire(RELU, "signgd")
    expected = -ETA * np.float32(0.7) * np.where(V - np.maximum(X, 0) >= 0, 1, -1)
    np.testing.assert_allclose(event, expected, rtol=1e-6)
    np.testing.assert_array_equal(after, V + event)
    assert event.shape == SHAPE and set(np.sign(event).ravel()) == {-1, 1}


def test_the_sign_of_zero_is_plus_one():
    _, event = fire(RELU, "signgd", x=np.maximum(V, 0), v=np.maximum(V, 0))
    np.testing.assert_allclose(event, np.full(SHAPE, -0.3 * 0.7), rtol=1e-6)
    _, event = fire(RELU, "signgd", x=np.zeros(SHAPE), v=np.full(SHAPE, -0.0))
    assert (event < 0).all()


@pytest.mark.parametrize("dead_zone", [0.5, 0.9, 3.0])
def test_ternary_descent_is_silent_close_to_its_target(dead_zone):
    after, event = fire(RELU, "signgd", dead_zone=dead_zone)
    error, size = V - np.maximum(X, 0), ETA * np.float32(0.7)
    expected = np.where(np.abs(error) <= dead_zone * size, 0, -size * np.sign(error))
    np.testing.assert_allclose(event, expected, rtol=1e-6)
    np.testing.assert_array_equal(after, V + event)
    assert set(np.abs(np.sign(event)).ravel()) == {0, 1}, "some neurons are silent, some are not"
    assert list(neuron_function(RELU, "signgd", "sign", True).input) == ["x0", "v", "eta", "amplitude", "theta"]


def test_the_border_of_the_dead_zone_is_silent():
    """In numbers that binary fractions hold: eta = 1/2, a = 1, theta = 1/2."""
    v = np.array([0.25, -0.25, 0.2578125, -0.2578125, 0], np.float32)
    _, event = fire(IDENTITY, "signgd", x=np.zeros(5), v=v, eta=np.float32(0.5), amplitude=1.0, dead_zone=0.5)
    np.testing.assert_array_equal(event, [0, 0, -0.5, 0.5, 0])


def test_amplitudes_per_channel():
    amplitude = np.array([0.1, 0.2, 0.4, 0.8], np.float32)
    _, event = fire(RELU, "signgd", amplitude=amplitude)
    np.testing.assert_allclose(np.abs(event), np.broadcast_to(ETA * amplitude, SHAPE), rtol=1e-6)


def test_an_amplitude_of_zero_is_silence():
    after, event = fire(RELU, "signgd", amplitude=0.0)
    np.testing.assert_array_equal(event, 0)
    np.testing.assert_array_equal(after, V)


def test_two_inputs_and_a_parameter():
    neuron = neuron_function(GATE, "signgd", "sign")
    assert list(neuron.input) == ["x0", "x1", "p0", "v", "eta", "amplitude"]
    x1, p0 = normal(3, 1, seed=2), normal(4, seed=3)
    feeds = {"x0": X, "x1": x1, "p0": p0, "v": V, "eta": ETA, "amplitude": 1.0}
    after, event = call([GATE, neuron], neuron.name, feeds, ["v_next", "d"])
    f = X / (1 + np.exp(-x1)) * p0
    np.testing.assert_allclose(event, np.where(f <= V, -0.3, 0.3), rtol=1e-6)
    np.testing.assert_allclose(after, V + event)


def test_a_float_encoder_sends_the_gradient_itself():
    after, event = fire(IDENTITY, "signgd", "float", amplitude=99.0)
    np.testing.assert_allclose(event, ETA * (X - V), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(after, V + event)


@pytest.mark.parametrize("t", [0, 1, 5])
def test_integrate_and_fire(t):
    eta = np.float32(1 / (t + 1))
    v = np.abs(V)
    after, event = fire(RELU, "subgradient", v=v, eta=eta)
    kept, size = (1 - eta) * v, eta * np.float32(0.7)
    expected = np.where(np.maximum(X, 0) >= kept + size, size, 0)
    np.testing.assert_allclose(event, expected, rtol=1e-6)
    np.testing.assert_allclose(after, kept + expected, rtol=1e-6)
    assert set(np.unique(event)) <= {0, size}


def test_integrate_and_fire_over_time_is_a_neuron_with_threshold_and_reset_by_subtraction():
    """v(t) is the sum of the spikes over t; the membrane starts at 0 and fires where it has reached the amplitude."""
    drive, amplitude = np.array([0.047, 0.31, 0.56, 0.98, 1.4], np.float32), 0.7531  # no ties
    v, membrane, spikes = np.zeros(5, np.float32), np.zeros(5), np.zeros(5)
    for t in range(40):
        v, _ = fire(RELU, "subgradient", x=drive, v=v, eta=np.float32(1 / (t + 1)), amplitude=amplitude)
        membrane += drive
        fired = membrane >= amplitude
        membrane -= amplitude * fired
        spikes += fired
        np.testing.assert_allclose(v, spikes * amplitude / (t + 1), atol=1e-5)


def test_a_float_current_is_the_running_mean_of_the_input():
    total, v = np.zeros(SHAPE), np.zeros(SHAPE, np.float32)
    for t in range(5):
        x = normal(*SHAPE, seed=t)
        v, event = fire(IDENTITY, "subgradient", "float", x=x, v=v, eta=np.float32(1 / (t + 1)))
        total += x
        np.testing.assert_allclose(v, total / (t + 1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(event, x / (t + 1), rtol=1e-5)


def test_the_leaky_integrator_forgets_what_it_received_and_not_the_constant_part():
    x, x0, delta = normal(*SHAPE), normal(*SHAPE, seed=1), normal(*SHAPE, seed=2)
    feeds = {"x": x, "x0": x0, "delta": delta, "eta": ETA}
    (after,) = call([leaky_integrator(20)], "LeakyIntegrate", feeds, ["x_next"])
    np.testing.assert_allclose(after, x0 + (1 - ETA) * (x - x0) + delta, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dynamics", "coding", "ternary", "name"),
    [
        ("signgd", "sign", False, "SignGD_F"),
        ("signgd", "sign", True, "SignGDTernary_F"),
        ("signgd", "float", False, "SignGDFloat_F"),
        ("subgradient", "sign", False, "Subgradient_F"),
        ("subgradient", "float", False, "SubgradientFloat_F"),
    ],
)
def test_names_tell_the_dynamics(dynamics, coding, ternary, name):
    neuron = neuron_function(RELU, dynamics, coding, ternary)
    assert operator_name("F", dynamics, coding, ternary) == name
    assert (neuron.domain, neuron.name) == ("spikec", name)
    assert {node.domain for node in neuron.node} == {"", "spikec.f"}
    assert {entry.domain: entry.version for entry in neuron.opset_import} == {"": 20, "spikec.f": 1}


def test_the_function_keeps_the_opset_of_f():
    newer = f_function("y = Relu(x0)")
    newer.opset_import[0].version = 22
    neuron = neuron_function(newer, "signgd", "sign")
    assert next(entry.version for entry in neuron.opset_import if entry.domain == "") == 22
