"""Level 4: what is carried, what is held, what stays in init, and that it computes what it should."""

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

import spikec
from spikec.equivalence import relative_distance
from spikec.lowering import lower
from spikec.passes import EncodeInputs, FuseElementwise
from spikec.pipeline import build_levels
from spikec.runtime import Session
from tests.models.graphs import normal, parse, run_pass, scalar
from tests.models.networks import TEXTS, network
from tests.models.recurrent import SCHEDULE, assert_exact, place
from tests.oracle import Oracle

TIMED = [name for name in TEXTS if not name.startswith("no neuron")]


def lowered(name, dynamics="signgd"):
    return lower(place(network(name).model), SCHEDULE, dynamics)


def named(nodes):
    return {node.output[0] for node in nodes}


@pytest.mark.parametrize("initial", [0.0, 0.25])
@pytest.mark.parametrize("name", TIMED)
def test_estimates_are_the_affine_segments_of_the_values(name, initial):
    assert_exact(place(network(name).model, initial=initial), network(name).feeds(3))


@pytest.mark.parametrize(
    ("name", "granularity", "dead_zone"),
    [(name, "composite", dead_zone) for name in TIMED for dead_zone in (0.0, 0.5)]
    + [(name, "strict", 0.5) for name in TIMED],
)
def test_level_four_equals_the_oracle_spike_for_spike(name, granularity, dead_zone):
    case = network(name)
    options = spikec.Options(steps=6, granularity=granularity, dead_zone=dead_zone)
    artifact = spikec.compile(case.model, calibration=case.feeds(6, seed=50), options=options)
    oracle = Oracle(artifact.levels.neurons, artifact.recurrent.schedules, dead_zone)
    session = Session(artifact.model, precision="float64")
    for step, (outputs, spikes) in zip(session.stream(case.feeds(3)), oracle.run(case.feeds(3)), strict=True):
        for neuron, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], expected, err_msg=f"{neuron} at step {step.t}")
        for output, expected in outputs.items():
            assert relative_distance(step.outputs[output], expected) < 1e-9, output


def test_a_neuron_keeps_its_value_and_an_estimate_of_each_input_that_changes():
    kinds = {state.name: state.kind for state in lowered("square and product").states}
    values, estimates = (
        dict.fromkeys(("e/value", "h/value"), "value"),
        dict.fromkeys(("f/estimate", "y/y/estimate"), "estimate"),
    )
    assert kinds == {**values, **estimates}
    assert lowered("square and product").held == ["a", "g"]


def test_a_parameter_may_widen_the_output_of_a_unary_neuron():
    text = "g (float[N, 5] x) => (float[2, N, 4] y) { a = Tanh(x) b = Gemm(a, q) c = Max(b, wide) y = MatMul(c, v) }"
    model = place(parse(text, q=normal(5, 5), v=normal(5, 4), wide=normal(2, 1, 5)), initial=0.1)
    assert_exact(model, {"x": normal(3, 5)})


def test_no_estimate_between_a_neuron_and_the_neuron_it_feeds():
    names = {state.name for state in lowered("neuron fed by a neuron").states}
    assert names == {"e/value", "i/value", "y/y/estimate"}


def test_neurons_share_the_estimate_of_a_tensor_that_they_both_read():
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      a = Relu(x) b = Gemm(a, w) c = Tanh(b) d = Exp(b) e = Add(c, d) y = Gemm(e, w)
    }"""
    network = lower(place(parse(text, w=normal(4, 4))), SCHEDULE, "signgd")
    assert [state.name for state in network.states].count("b/estimate") == 1
    assert len(network.states) == 5


def test_what_depends_on_no_neuron_is_computed_once():
    network = lowered("sum with what is constant in time")
    assert {"a", "g"} <= named(network.init)
    assert not any("g" in node.input or "x" in node.input for node in network.step)
    assert len([node for node in network.step if node.op_type == "Conv"]) == 1


def test_biases_are_in_init_and_not_in_the_step():
    network = lowered("sum with what is constant in time")
    (conv,) = (node for node in network.step if node.op_type == "Conv")
    assert list(conv.input) == ["e/event", "l"]
    assert "d" in {name for node in network.init for name in node.input}
    (gemm,) = (node for node in lowered("mlp").step if node.op_type == "Gemm")
    assert list(gemm.input) == ["h/event", "v"]


def test_a_gate_holds_what_is_constant_in_time():
    network = lowered("gate by what is constant in time")
    assert network.held == ["a"]
    assert {neuron.name: neuron.values for neuron in network.neurons}["h"] == ("f", "a")


def test_readout_and_what_it_reads():
    network = lowered("readout of the input")
    assert [node.op_type for node in network.readout] == ["Softmax", "ReduceMax", "Mul", "Identity"]
    assert network.readout_inputs == {"i": "i/estimate"}
    assert network.held == ["a", "x"]  # what the neuron reads, then what the readout reads
    assert [node.input[0] for node in network.readout_nodes()] == ["x", "g", "i/estimate/final", "y/y"]


def test_a_network_without_neurons_has_no_states_and_no_steps():
    network = lowered("no neuron")
    assert (network.states, network.step, network.steps, network.neurons) == ([], [], 0, [])
    assert network.held == ["y/y"]


def test_init_needs_the_function_only_for_the_shape_of_its_output():
    assert not any(node.domain for node in lowered("mlp").init)
    assert any(node.domain == "spikec.f" for node in lowered("max pool").init)


def test_nothing_is_carried_that_nobody_needs():
    for name in TIMED:
        network = lowered(name)
        read = {item for node in [*network.step, *network.readout_nodes()] for item in node.input}
        produced = named(network.step) | {output for node in network.step for output in node.output}
        for state in network.states:
            assert state.next in produced
            assert state.name in read or state.next in read or state.final in read, (name, state)
        assert set(network.held) <= read


def test_constants_are_those_in_use():
    for name in TIMED:
        network = lowered(name)
        read = {item for node in [*network.init, *network.step, *network.readout] for item in node.input}
        assert {tensor.name for tensor in network.constants} <= read, name


def test_equal_tables_are_stored_once_and_different_ones_apart():
    model = place(network("deep").model)
    one = lower(model, SCHEDULE, "signgd")
    assert [t.name for t in one.constants if t.name.endswith("/table")] == ["spikec/eta0/table"]
    tables = {"e": SCHEDULE, "g": SCHEDULE * 2, "h": SCHEDULE}
    two = lower(model, tables, "signgd")
    assert [t.name for t in two.constants if t.name.endswith("/table")] == ["spikec/eta0/table", "spikec/eta1/table"]
    assert {node.name: node.input[-2] for node in two.step if node.domain == "spikec"} == {
        "e": "spikec/eta0",
        "g": "spikec/eta1",
        "h": "spikec/eta0",
    }


def ternary(network):
    """The neurons that take a dead zone, and the table that it comes from."""
    tables = {n.output[0]: n.input[0] for n in network.step if n.op_type == "Gather" and n.input[0].endswith("/table")}
    neurons = [node for node in network.step if node.domain == "spikec" and "Ternary" in node.op_type]
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in network.constants}
    return {node.name: values[tables[node.input[-1]]].tolist() for node in neurons}


def test_a_dead_zone_of_its_own_for_each_neuron_and_step():
    model = place(network("deep").model)
    half = np.full(len(SCHEDULE), 0.5, np.float32)
    early = np.float32([0.25, 0.25, 0.25, 0.25, 0.5])
    zones = {"e": half, "g": early, "h": np.zeros(len(SCHEDULE), np.float32)}
    one = lower(model, SCHEDULE, "signgd", zones)
    assert ternary(one) == {"e": half.tolist(), "g": early.tolist()}, "a neuron whose table is zero is binary"
    assert one.dead_zones.keys() == {"e", "g"}
    tables = [tensor.name for tensor in one.constants if tensor.name.endswith("/table")]
    assert tables == ["spikec/eta0/table", "spikec/theta1/table", "spikec/theta2/table"]
    same = lower(model, SCHEDULE, "signgd", 0.5)
    assert ternary(same) == dict.fromkeys("egh", half.tolist())


GRADED = [("signgd", "float"), ("subgradient", "sign"), ("subgradient", "float")]


@pytest.mark.parametrize(("dynamics", "coding"), GRADED)
def test_graded_events_and_integrate_and_fire_have_no_dead_zone(dynamics, coding):
    placed = place(network("mlp").model)
    model = run_pass(EncodeInputs("float"), placed)[0] if coding == "float" else placed
    one, two = (lower(model, SCHEDULE, dynamics, dead_zone) for dead_zone in (0.0, 0.5))
    graded = {neuron.name for neuron in two.neurons if neuron.coding == "float"}
    assert bool(graded) == (coding == "float")
    assert two.dead_zones.keys() == ternary(two).keys() == ({"h"} if dynamics == "signgd" else set())
    if dynamics == "subgradient":
        assert [one.step, one.functions, one.constants] == [two.step, two.functions, two.constants]


def test_subgradient_integrators_forget():
    network = lowered("mlp", "subgradient")
    leaky = [node for node in network.step if node.op_type == "LeakyIntegrate"]
    assert [node.input[1] for node in leaky] == ["y/y"]
    assert network.held == ["a", "y/y"]
    assert {function.name for function in network.functions} == {"Relu", "Subgradient_Relu", "LeakyIntegrate"}


AFFINE = [
    "Add({0}, {1})",
    "Sub({0}, {1})",
    "Sub(k, {0})",
    "Mul({0}, k)",
    "MatMul({0}, m)",
    "Gemm({0}, m, {1})",
    "Gemm({0}, m, k)",
    "Sum({0}, {1}, k)",
    "Mean({0}, {1})",
    "Where(c, {0}, {1})",
    "Where(c, k, {0})",
    "Gather<axis = 1>({0}, i)",
    "Neg({0})",
    "Gemm<transA = 1, transB = 1>(m, {0})",
    "Div({0}, two)",
    "CumSum({0}, one)",
    "Transpose({0})",
    "Trilu({0})",
]
CONSTANTS = {
    "k": normal(4, seed=1),
    "m": normal(4, 4, seed=2) / 2,
    "c": np.array([True, False, False, True]),
    "i": np.array([3, 1, 0, 2]),
    "two": scalar(2),
    "one": np.array(1),
}


NONLINEAR = ["Relu({0})", "Mul({0}, {1})", "Max({0}, {1})", "Sigmoid({0})", "Softmax({0})"]


@st.composite
def networks(draw):
    """A random network of (4, 4) tensors: three of them, taken at random, are outputs."""
    tensors, nodes = ["x", "h", "g"], []
    for i in range(draw(st.integers(2, 12))):
        operands = [draw(st.sampled_from(tensors[-5:])) for _ in range(2)]
        op = draw(st.sampled_from(AFFINE) | st.sampled_from(NONLINEAR))
        nodes.append(f"t{i} = {op.format(*operands)}")
        tensors.append(f"t{i}")
    taken = draw(st.lists(st.sampled_from(tensors[3:]), min_size=1, max_size=3, unique=True))
    ends = [
        draw(st.sampled_from(["Neg({0})", "Gemm({0}, m)", "Softmax({0})", "Identity({0})"])).format(t) for t in taken
    ]
    nodes += [f"y{i} = {end}" for i, end in enumerate(ends)]
    return " ".join(nodes), [f"y{i}" for i in range(len(taken))]


@settings(max_examples=80, deadline=None)
@given(networks(), st.booleans())
def test_random_networks_are_exact(case, fused):
    """Where a neuron, the readout or something constant in time ends up is for the compiler to find out."""
    nodes, outputs = case
    results = ", ".join(f"float[4, 4] {name}" for name in outputs)
    text = f"g (float[4, 4] x) => ({results}) {{ h = Relu(x) e = Gemm(x, m) g = Tanh(e) {nodes} }}"
    model = parse(text, **CONSTANTS)
    model = run_pass(FuseElementwise(), model)[0] if fused else model
    assert_exact(place(model, initial=0.1), {"x": normal(4, 4, seed=3)}, tolerance=1e-4)


def test_levels_keep_the_outputs_of_every_network():
    for name in TEXTS:
        case = network(name)
        levels = build_levels(case.model, spikec.Options(), case.feeds(4))
        assert max(levels.distances.values()) < 1e-5, name
