"""A level-3 network as lowering looks at it."""

import numpy as np
import pytest
from onnx import helper

from spikec.lowering.depth import relative_depths
from spikec.lowering.init_graph import prune, zeros_nodes
from spikec.lowering.network import Network, Neuron
from tests.models.graphs import initializer, normal, parse
from tests.models.networks import network
from tests.models.recurrent import place


def placed(name):
    return Network(place(network(name).model))


def test_a_neuron_node_is_read_by_position():
    text = (
        "g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y) { [act] a = PRelu(x, s) b = Mul(a, z) y = MatMul(b, w) }"
    )
    found = Network(place(parse(text, s=normal(4), w=normal(4, 4)))).neurons["act"]
    assert isinstance(found, Neuron)
    assert (found.values, found.parameters, found.output) == (("x",), ("s",), "a")
    assert (found.amplitude, found.initial) == ("act/amplitude", "act/initial")
    assert (found.kind, found.coding) == ("unary", "sign")


@pytest.mark.parametrize(
    ("name", "timed"),
    [
        ("mlp", {"h", "y"}),
        ("no neuron", set()),
        ("sum with what is constant in time", {"e", "f", "y"}),
        ("softmax", {"h", "i"}),
        ("readout of the input", {"h", "i"}),
        ("reshape by the batch", {"e", "j", "y"}),
    ],
)
def test_timed_tensors_depend_on_a_neuron_and_are_values(name, timed):
    assert placed(name).timed == timed


@pytest.mark.parametrize(
    ("name", "readout", "boundary"),
    [
        ("mlp", set(), ["y"]),
        ("softmax", {"y"}, ["i"]),
        ("logits and softmax", {"z"}, ["y"]),
        ("readout of a neuron", {"z"}, ["h", "y"]),
        ("readout of the input", {"g", "j", "y"}, ["x", "i"]),
        ("a neuron's own tensor is an output", set(), ["h", "y"]),
        ("two heads", {"z"}, ["g", "y"]),
    ],
)
def test_readout_and_boundary(name, readout, boundary):
    found = placed(name)
    assert {output for node in found.nodes if node.name in found.readout for output in node.output} == readout
    assert found.boundary == boundary


def test_shape_arithmetic_behind_a_readout_is_readout():
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      a = MatMul(x, w) [soft] s = Softmax(a) [shape] n = Shape(s) [count] m = ReduceProd<keepdims = 0>(n)
      [wide] f = Cast<to = 1>(m) [scale] y = Mul(s, f)
    }"""
    assert Network(place(parse(text, w=normal(4, 4)))).readout == {"soft", "shape", "count", "wide", "scale"}


def test_shapes_and_constants():
    found = placed("mlp")
    assert found.shapes["x"] == ("N", 6) and found.shapes["w"] == (6, 5)
    np.testing.assert_array_equal(found.array("w"), initializer(network("mlp").model, "w"))
    assert found.array("x") is None and found.array("a") is None


def test_positions_of_what_changes():
    found = placed("sum with what is constant in time")
    last = next(node for node in found.nodes if node.op_type == "Add")
    assert list(last.input) == ["f", "g"]
    assert found.timed_positions(last) == [0]
    reading = placed("reshape by the batch")
    assert reading.timed_positions(next(node for node in reading.nodes if node.op_type == "Shape")) == []


def test_depth_is_the_longest_chain_of_neurons_before_one():
    assert relative_depths(placed("deep")) == {"e": 0.0, "g": 0.5, "h": 1.0}
    assert relative_depths(placed("mlp")) == {"h": 0.0}
    assert relative_depths(placed("no neuron")) == {}
    assert relative_depths(placed("two inputs")) == {"e": 0.0, "f": 0.0}
    assert relative_depths(placed("gated linear unit")) == {"e": 0.0, "g": 0.5, "h": 1.0}


def test_prune_keeps_what_is_wanted_in_order():
    nodes = [helper.make_node("Neg", [a], [b]) for a, b in ("ab", "bc", "bd", "ce")]
    assert [node.output[0] for node in prune(nodes, {"d"})] == ["b", "d"]
    assert [node.output[0] for node in prune(nodes, {"e"})] == ["b", "c", "e"]
    assert prune(nodes, set()) == []


def test_prune_does_not_take_an_output_without_a_name_for_one_that_is_wanted():
    nodes = [helper.make_node("Split", ["a"], ["", "b"]), helper.make_node("Clip", ["x", "", "high"], ["c"])]
    assert [node.op_type for node in prune(nodes, {"c"})] == ["Clip"]


def test_zeros_have_the_shape_of_their_tensor():
    shape, expand = zeros_nodes("t", "t/zeros", "zero")
    assert (shape.op_type, list(shape.input)) == ("Shape", ["t"])
    assert (expand.op_type, list(expand.input), list(expand.output)) == (
        "Expand",
        ["zero", shape.output[0]],
        ["t/zeros"],
    )
