"""Relative depth: the longest chain of neurons before a neuron, and what the schedules make of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikec
from spikec.lowering.depth import relative_depths
from spikec.lowering.network import Network
from spikec.schedules import fitted_stagger, make_schedule
from tests.models import tiny
from tests.models.forms import STEPS, compiled
from tests.models.graphs import normal, parse
from tests.models.networks import network
from tests.models.recurrent import place

NEURONS = {"Relu({0})": 1, "Softmax({0})": 1, "Max({0}, {1})": 2, "Mul({0}, {1})": 2}  # call -> number of operands
LINEAR = {"Neg({0})": 1, "MatMul({0}, w)": 1, "Add({0}, {1})": 2, "Mean({0}, {1})": 2}
# a neuron four times, each behind a layer
CHAIN = " ".join(f"[n{i}] h{i} = Relu(a{i}) a{i + 1} = MatMul(h{i}, w1)" for i in range(4))
LONG = f"[copy] a0 = Add(a, b1) {CHAIN} [wire] h = Add(a4, a)"


def depths_of(nodes):
    text = f"g (float[4, 4] x) => (float[] y) {{ {nodes} }}"
    return relative_depths(Network(place(parse(text, w=normal(4, 4)))))


@st.composite
def graphs(draw):
    """Nodes in text form, and for each neuron the number of neurons on every path that leads to it."""
    paths, nodes, before = {"x": [0]}, [], {}
    for i in range(draw(st.integers(1, 8))):
        call, count = draw(st.sampled_from([*NEURONS.items(), *LINEAR.items()]))
        operands = [draw(st.sampled_from(list(paths)[-4:])) for _ in range(count)]
        nodes.append(f"t{i} = {call.format(*operands)}")
        leading = [neurons for operand in operands for neurons in paths[operand]]
        before.update({f"t{i}": leading} if call in NEURONS else {})
        paths[f"t{i}"] = [neurons + (call in NEURONS) for neurons in leading]
    return f"{' '.join(nodes)} s = Sum({', '.join(paths)}) y = MatMul(s, w)", before


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_depth_counts_the_neurons_on_the_longest_of_all_paths(case):
    nodes, before = case
    longest = {name: max(counts) for name, counts in before.items()}
    deepest = max(longest.values(), default=0) or 1
    assert depths_of(nodes) == {name: count / deepest for name, count in longest.items()}


def test_a_shortcut_does_not_make_a_neuron_shallow():
    nodes = "a = Relu(x) b = MatMul(a, w) c = Tanh(b) d = Add(c, x) e = Exp(d) y = MatMul(e, w)"
    assert depths_of(nodes) == {"a": 0.0, "c": 0.5, "e": 1.0}
    assert depths_of(nodes.replace("Add(c, x)", "Add(x, c)")) == {"a": 0.0, "c": 0.5, "e": 1.0}


def test_a_shape_is_known_before_any_neuron_fires():
    nodes = "a = Relu(x) b = {0}(a) c = Cast<to = 1>(b) d = ReduceMax<keepdims = 0>(c) e = Neg(x) f = Min(e, d) "
    for op in ("Shape", "Size"):
        assert depths_of(nodes.format(op) + "g = Add(a, f) y = MatMul(g, w)") == {"a": 0.0, "f": 0.0}


def test_branches_of_unequal_length_share_one_scale():
    nodes = "a = Relu(x) b = Tanh(a) c = Exp(b) d = Sigmoid(c) f = Erf(x) g = Add(d, f) h = Abs(g) y = MatMul(h, w)"
    assert depths_of(nodes) == {"a": 0, "b": 0.25, "c": 0.5, "d": 0.75, "f": 0, "h": 1}


def test_a_readout_has_no_depth_and_lends_none():
    nodes = "a = Relu(x) b = MatMul(a, w) c = Tanh(b) d = MatMul(c, w) e = Softmax(d) y = Exp(e)"
    assert depths_of(nodes) == {"a": 0.0, "c": 1.0}


@pytest.mark.parametrize("form", ["loop", "unrolled"])
@pytest.mark.parametrize("name", ["mlp", "deep", "residual", "gated linear unit", "two heads", "two inputs"])
def test_every_neuron_of_an_artifact_has_the_table_of_its_depth(name, form):
    artifact = compiled(name, form)
    depths = relative_depths(Network(artifact.levels.neurons))
    tables = {row["name"]: row["eta"] for row in artifact.manifest["neurons"]}
    assert tables.keys() == depths.keys()
    for neuron, depth in depths.items():
        np.testing.assert_array_equal(np.float32(tables[neuron]), make_schedule("geometric", STEPS, depth))


@pytest.mark.parametrize("coding", ["spike", "float"])
def test_an_encoder_is_the_first_neuron_of_the_chain(coding):
    rows = compiled("deep", coding=coding).manifest["neurons"]
    assert [row["kind"] for row in rows] == ["encoder", "unary", "unary", "unary"]
    for row, depth in zip(rows, (0, 1 / 3, 2 / 3, 1), strict=True):
        np.testing.assert_array_equal(np.float32(row["eta"]), make_schedule("geometric", STEPS, depth))


def test_in_a_chain_each_neuron_starts_to_decay_after_the_one_before_it():
    artifact = spikec.compile(tiny.between(LONG), calibration=tiny.samples(), steps=32)
    starts = [sum(eta == row["eta"][0] for eta in row["eta"]) for row in artifact.manifest["neurons"]]
    assert starts == [1 + int(fitted_stagger(32) * depth) for depth in (0, 1 / 3, 2 / 3, 1)] == [1, 8, 15, 23]


def test_integrate_and_fire_has_one_clock_for_all_depths():
    artifact = spikec.compile(network("dense").model, calibration=network("dense").feeds(6), dynamics="subgradient")
    tables = [row["eta"] for row in artifact.manifest["neurons"]]
    assert len(tables) == 2 and tables[0] == tables[1]
    np.testing.assert_array_equal(np.float32(tables[0]), np.float32(1 / np.arange(1, 33)))
