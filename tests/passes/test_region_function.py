import numpy as np
import onnx_graphsurgeon as gs
import pytest

from spikec.onnx_session import run_model
from spikec.passes.graph_io import export_model, import_graph
from spikec.passes.operators import FUNCTION_DOMAIN
from spikec.passes.region_function import add_function
from tests.models.graphs import normal, parse, scalar

CONSTANTS = {
    "slope": normal(4),
    "half": scalar(0.5),
    "one": np.ones(1, np.float32),
    "row": np.ones((1, 1), np.float32),
    "low": scalar(-1),
    "high": scalar(1),
}
X = normal(3, 4)


def graph_of(nodes):
    used = {name: array for name, array in CONSTANTS.items() if name in nodes}
    return import_graph(parse(f"g (float[N, 4] x) => (float[N, 4] y) {{ {nodes} }}", **used))


def made(nodes):
    """The function of all nodes as one region that starts from x, and its parameters."""
    graph = graph_of(nodes)
    return add_function(graph, graph.nodes, [graph.inputs[0]])


@pytest.mark.parametrize("op", ["Relu", "Exp", "Sigmoid", "Gelu", "Softsign"])
def test_an_operator_without_settings_gives_its_own_name(op):
    function, parameters = made(f"y = {op}(x)")
    assert (function.name, function.domain, parameters) == (op, FUNCTION_DOMAIN, [])


@pytest.mark.parametrize(
    ("nodes", "stem"),
    [
        ('y = Gelu<approximate = "tanh">(x)', "Gelu"),
        ("y = LeakyRelu<alpha = 0.3>(x)", "LeakyRelu"),
        ("y = Mul(x, x)", "Mul"),
        ("y = Clip(x, low, high)", "Clip"),
        ("a = Sigmoid(x) y = Mul(x, a)", "Sigmoid_Mul"),
    ],
)
def test_settings_are_told_by_a_fingerprint(nodes, stem):
    function, _ = made(nodes)
    name, _, digits = function.name.rpartition("_")
    assert name == stem and len(digits) == 8 and int(digits, 16) >= 0


def test_long_chains_have_names_of_bounded_length():
    nodes = "a0 = Sigmoid(x) " + "".join(f"a{i + 1} = Reciprocal(a{i}) " for i in range(20)) + "y = Exp(a20)"
    assert len(made(nodes)[0].name) <= 49


def test_scalars_stand_in_the_body_and_larger_constants_are_parameters():
    function, parameters = made(
        "a = Mul(x, half) b = Add(a, one) c = Add(b, row) d = PRelu(c, slope) e = Mul(d, half) y = Exp(e)"
    )
    assert [tensor.name for tensor in parameters] == ["row", "slope"]
    assert [tensor.name for tensor in function.inputs] == ["x0", "p0", "p1"]
    assert sum(node.op == "Constant" for node in function.nodes) == 2


def test_the_function_computes_what_its_nodes_did():
    nodes = "a = Mul(half, x) b = Clip(a, , high) c = PRelu(b, slope) d = Exp(c) y = Div(x, d)"
    graph = graph_of(nodes)
    expected = run_model(export_model(graph), {"x": X})["y"]
    function, parameters = add_function(graph, graph.nodes, [graph.inputs[0]])
    output = graph.outputs[0]
    output.inputs.clear()
    graph.nodes.append(
        gs.Node(function.name, "call", {}, [graph.inputs[0], *parameters], [output], domain=FUNCTION_DOMAIN)
    )
    model = export_model(graph.cleanup())
    assert [node.op_type for node in model.graph.node] == [function.name]
    np.testing.assert_allclose(run_model(model, {"x": X})["y"], expected, rtol=1e-6)


def test_equal_regions_share_a_function_and_have_parameters_of_their_own():
    text = "a = PRelu(x, slope) y = PRelu(a, other)"
    graph = import_graph(
        parse(f"g (float[N, 4] x) => (float[N, 4] y) {{ {text} }}", slope=normal(4), other=normal(4, seed=1))
    )
    pairs = [add_function(graph, [node], [node.inputs[0]]) for node in graph.nodes]
    assert pairs[0][0] is pairs[1][0]
    assert [parameters[0].name for _, parameters in pairs] == ["slope", "other"]
    assert len(graph.functions) == 1


def test_square_and_product_are_different_functions():
    text = "g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y, float[N, 4] u) { y = Mul(x, x) u = Mul(x, z) }"
    graph = import_graph(parse(text))
    square, product = graph.nodes
    one, _ = add_function(graph, [square], [graph.inputs[0]])
    two, _ = add_function(graph, [product], list(graph.inputs))
    assert one.name != two.name
    assert (len(one.inputs), len(two.inputs)) == (1, 2)


def test_the_place_of_the_value_among_the_inputs_matters():
    one, _ = made("y = Div(half, x)")
    two, _ = made("y = Div(x, half)")
    assert one.name != two.name


def test_the_order_of_the_inputs_matters():
    text = "g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y, float[N, 4] u) { y = Pow(x, z) u = Pow(x, z) }"
    graph = import_graph(parse(text))
    one, _ = add_function(graph, graph.nodes[:1], graph.inputs)
    two, _ = add_function(graph, graph.nodes[1:], graph.inputs[::-1])
    assert one.name != two.name
