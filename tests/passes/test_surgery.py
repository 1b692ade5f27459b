import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from spikec.passes.graph_io import import_graph
from spikec.passes.surgery import (
    append,
    bypass,
    constant,
    element_type,
    fingerprint,
    function_of,
    int_vector,
    is_output,
    values_of,
)
from tests.models.graphs import normal, parse


def graph_of(nodes, **constants):
    return import_graph(parse(f"g (float[N, 4] x) => (float[N, 4] y) {{ {nodes} }}", **constants))


def test_bypass_rewires_every_consumer_and_leaves_no_trace():
    graph = graph_of("a = Relu(x) b = Identity(a) c = Mul(b, b) y = Add(b, c)")
    relu, wire, square, total = graph.nodes
    bypass(wire)
    assert [t.name for t in square.inputs] == ["a", "a"]
    assert [t.name for t in total.inputs] == ["a", "c"]
    assert wire not in relu.outputs[0].outputs
    assert not wire.inputs and not wire.outputs


def test_is_output():
    graph = graph_of("a = Relu(x) y = Neg(a)")
    assert [is_output(graph, node.outputs[0]) for node in graph.nodes] == [False, True]


def test_append_takes_name_type_and_attributes():
    graph = graph_of("y = Neg(x)")
    output = append(graph, "Softmax", [graph.inputs[0]], "soft", like=graph.inputs[0], axis=1)
    node = output.inputs[0]
    assert (node.op, node.name, output.name, dict(node.attrs)) == ("Softmax", "soft", "soft", {"axis": 1})
    assert output.dtype == np.float32
    assert append(graph, "Neg", [output], "free").dtype is None


def test_a_scalar_constant_stays_a_scalar():
    assert constant("k", np.array(3, np.float32)).values.shape == ()


def test_constants_have_values_and_variables_have_none():
    array = normal(2, 3).T
    np.testing.assert_array_equal(values_of(constant("k", array)), array)
    assert values_of(gs.Variable("v")) is None


@pytest.mark.parametrize(
    ("dtype", "number"),
    [(None, 0), (np.float32, 1), (np.dtype("int64"), 7), (onnx.TensorProto.BFLOAT16, 16), (np.float16, 10)],
)
def test_element_types_are_numbers_of_onnx(dtype, number):
    assert element_type(gs.Variable("v", dtype)) == number


def test_int_vector_reads_attribute_or_input():
    axes = constant("axes", np.array([1, -1]))
    x = gs.Variable("x")
    assert int_vector(gs.Node("ReduceMean", attrs={"axes": [2, 3]}, inputs=[x]), "axes", 1) == [2, 3]
    assert int_vector(gs.Node("ReduceMean", inputs=[x, axes]), "axes", 1) == [1, -1]
    assert int_vector(gs.Node("ReduceMean", inputs=[x, constant("one", np.array(3))]), "axes", 1) == [3]
    assert int_vector(gs.Node("ReduceMean", inputs=[x]), "axes", 1) is None
    assert int_vector(gs.Node("ReduceMean", inputs=[x, gs.Variable.empty()]), "axes", 1) is None
    assert int_vector(gs.Node("ReduceMean", inputs=[x, gs.Variable("computed")]), "axes", 1) is None


def test_function_of_tells_domains_apart():
    graph = graph_of("y = Neg(x)")
    function = gs.Function("F", "one")
    graph.functions = [function]
    assert function_of(graph, "one", "F") is function
    assert function_of(graph, "two", "F") is None
    assert function_of(graph, "one", "G") is None


def chain(nodes, **constants):
    return fingerprint(graph_of(nodes, **constants).nodes)


def test_fingerprints_do_not_depend_on_names():
    assert chain("a = Sigmoid(x) y = Mul(x, a)") == chain("[n] other = Sigmoid(x) [m] y = Mul(x, other)")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = Sigmoid(x) y = Mul(x, a)", "a = Tanh(x) y = Mul(x, a)"),
        ("a = Sigmoid(x) y = Mul(x, a)", "a = Sigmoid(x) y = Mul(a, a)"),
        ("a = Sigmoid(x) y = Sub(x, a)", "a = Sigmoid(x) y = Sub(a, x)"),
        ("y = LeakyRelu<alpha = 0.1>(x)", "y = LeakyRelu<alpha = 0.2>(x)"),
        ("y = LeakyRelu(x)", "y = LeakyRelu<alpha = 0.2>(x)"),
        ("y = Mul(x, k)", "y = Mul(x, l)"),
        ("y = Clip(x, k)", "y = Clip(x, , k)"),
        ("y = Mul(x, x)", "y = Mul(x, z) z = Neg(x)"),
    ],
)
def test_fingerprints_tell_different_functions_apart(one, other):
    assert chain(one, k=normal(1), l=normal(1, seed=1)) != chain(other, k=normal(1), l=normal(1, seed=1))
