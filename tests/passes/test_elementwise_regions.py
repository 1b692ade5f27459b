import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.passes import FuseElementwise
from spikec.passes.elementwise_regions import MOST_INPUTS, find_regions
from spikec.passes.graph_io import import_graph
from spikec.passes.operators import is_elementwise, neuron_operators
from spikec.passes.value_path import ValuePath
from tests.models.graphs import keeps_outputs, normal, operators, parse, run_model, run_pass, scalar

CONSTANTS = {
    "half": scalar(0.5),
    "two": scalar(2),
    "low": scalar(-1),
    "high": scalar(1),
    "slope": normal(4, seed=1),
    "k": normal(4, seed=2),
    "mask": normal(4, seed=6) > 0,
}
W = normal(4, 4, seed=3)


def regions(nodes, inputs=("x", "z"), outputs=("y",)):
    """What is found in a graph of tensors (N, 4): operators and input names of each region, the last region first."""
    return [
        ([n.op for n in r.nodes], [t.name for t in r.inputs]) for r in find_regions(graph_of(nodes, inputs, outputs))
    ]


def graph_of(nodes, inputs=("x", "z"), outputs=("y",)):
    return import_graph(model_of(nodes, inputs, outputs))


def model_of(nodes, inputs=("x", "z"), outputs=("y",)):
    signature = ", ".join(f"float[N, 4] {name}" for name in inputs)
    results = ", ".join(f"float[N, 4] {name}" for name in outputs)
    return parse(f"g ({signature}) => ({results}) {{ {nodes} }}", w=W, **CONSTANTS)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        # one operator
        ("a = Relu(x) y = MatMul(a, w)", [(["Relu"], ["x"])]),
        # x * sigmoid(x)
        ("s = Sigmoid(x) a = Mul(x, s) y = MatMul(a, w)", [(["Sigmoid", "Mul"], ["x"])]),
        # a gate of two tensors
        ("s = Sigmoid(z) a = Mul(x, s) y = MatMul(a, w)", [(["Sigmoid", "Mul"], ["z", "x"])]),
        # x + f(x): the Add is exact in the segment
        ("f = Tanh(x) a = Add(x, f) y = MatMul(a, w)", [(["Tanh"], ["x"])]),
        # g(x + f(x)): the Add is inside
        ("f = Tanh(x) a = Add(x, f) g = Relu(a) y = MatMul(g, w)", [(["Tanh", "Add", "Relu"], ["x"])]),
        # f(x) + g(x): two neurons would be more
        ("f = Tanh(x) g = Exp(x) a = Sub(f, g) y = MatMul(a, w)", [(["Tanh", "Exp", "Sub"], ["x"])]),
        # f(x) + g(z): each on its own, the sum is exact
        ("f = Tanh(x) g = Exp(z) a = Add(f, g) y = MatMul(a, w)", [(["Exp"], ["z"]), (["Tanh"], ["x"])]),
        # a linear head and a linear tail stay outside
        ("h = Mul(x, k) f = Tanh(h) t = Mul(f, k) y = MatMul(t, w)", [(["Tanh"], ["h"])]),
        # the head of one branch stays inside where its input is needed anyway
        ("h = Mul(x, two) s = Sigmoid(h) a = Mul(x, s) y = MatMul(a, w)", [(["Mul", "Sigmoid", "Mul"], ["x"])]),
        # and outside where it costs no further input
        ("h = Mul(z, two) s = Sigmoid(h) a = Mul(x, s) y = MatMul(a, w)", [(["Sigmoid", "Mul"], ["h", "x"])]),
        # a sum of two tensors is a tensor of its own: f(x + z)
        ("h = Add(x, z) s = Sigmoid(h) a = Mul(h, s) y = MatMul(a, w)", [(["Sigmoid", "Mul"], ["h"])]),
        # a comparison and what it decides
        ("c = Greater(x, half) e = Exp(x) a = Where(c, x, e) y = MatMul(a, w)", [(["Greater", "Exp", "Where"], ["x"])]),
        # a step is a neuron
        ("c = Greater(x, half) a = Cast<to = 1>(c) y = MatMul(a, w)", [(["Greater", "Cast"], ["x"])]),
        # and what it is added to stays outside
        ("c = Less(x, half) s = Cast<to = 1>(c) a = Add(x, s) y = MatMul(a, w)", [(["Less", "Cast"], ["x"])]),
        # the larger of two tensors
        ("c = Greater(x, z) a = Where(c, x, z) y = MatMul(a, w)", [(["Greater", "Where"], ["x", "z"])]),
        # a linear head is outside, but not where it makes booleans
        (
            "h = Sub(x, k) c = Cast<to = 9>(h) a = Where(c, half, two) y = MatMul(a, w)",
            [(["Cast", "Where"], ["h"])],
        ),
        # of a fixed choice nothing is a nonlinearity
        ("a = Where(mask, x, half) b = Exp(a) y = MatMul(b, w)", [(["Exp"], ["a"])]),
        # three tensors meet, of which one comes from the others
        (
            "m = Mul(x, z) s = Mul(m, half) c = Greater(m, half) a = Where(c, x, s) y = MatMul(a, w)",
            [(["Mul", "Greater", "Where"], ["m", "x"]), (["Mul"], ["x", "z"])],
        ),
        # a choice by one tensor between two more
        ("u = MatMul(z, w) c = Greater(x, half) a = Where(c, z, u) y = MatMul(a, w)", []),
        # a choice that is not elementwise
        ("c = Greater(x, half) e = Flatten(c) a = Where(e, x, half) y = MatMul(a, w)", []),
        # the readout is nobody's neuron
        ("f = MatMul(x, w) s = Sigmoid(f) y = Mul(f, s)", []),
        # nothing but linear operators
        ("h = Mul(x, two) t = Add(h, k) y = MatMul(t, w)", []),
    ],
)
def test_regions(nodes, expected):
    assert regions(nodes) == expected


def test_an_inner_tensor_with_a_consumer_outside_is_computed_twice():
    nodes = "s = Sigmoid(x) a = Mul(x, s) b = MatMul(s, w) c = MatMul(a, w) y = Add(b, c)"
    assert regions(nodes) == [(["Sigmoid", "Mul"], ["x"]), (["Sigmoid"], ["x"])]


def test_an_inner_tensor_that_is_an_output_is_computed_twice():
    nodes = "s = Sigmoid(x) a = Mul(x, s) y = MatMul(a, w)"
    assert regions(nodes, outputs=("y", "s")) == [(["Sigmoid", "Mul"], ["x"]), (["Sigmoid"], ["x"])]


def test_a_choice_that_is_an_output_too_is_made_twice():
    nodes = "c = Greater(x, half) a = Where(c, x, half) y = MatMul(a, w)"
    text = f"g (float[N, 4] x) => (float[N, 4] y, bool[N, 4] c) {{ {nodes} }}"
    model = parse(text, w=W, **CONSTANTS)
    fused, _ = keeps_outputs(FuseElementwise(), model, {"x": normal(3, 4, seed=4)})
    assert operators(fused)[:2] == ["Greater", "MatMul"] and len(fused.graph.node) == 3
    graph = import_graph(fused)
    assert {node.op for node in graph.nodes if ValuePath(graph).is_readout(node)} == {"Greater"}


def test_three_roots_are_not_joined():
    nodes = "a = Mul(x, z) b = Tanh(u) c = Mul(a, b) y = MatMul(c, w)"
    assert regions(nodes, ("x", "z", "u")) == [(["Mul"], ["a", "b"]), (["Tanh"], ["u"]), (["Mul"], ["x", "z"])]


def test_a_maximum_of_three_tensors_is_a_region_of_its_own():
    nodes = "e = Exp(x) m = Max(e, z, u) t = Tanh(m) y = MatMul(t, w)"
    assert regions(nodes, ("x", "z", "u")) == [(["Tanh"], ["m"]), (["Max"], ["e", "z", "u"]), (["Exp"], ["x"])]


def test_a_computed_parameter_is_not_fused():
    nodes = "n = Size(x) s = Cast<to = 1>(n) a = Div(s, x) b = Exp(a) y = MatMul(b, w)"
    assert regions(nodes) == [(["Exp"], ["a"])]


SINGLE = {
    "PRelu": "PRelu({0}, slope)",
    "Clip": "Clip({0}, low, high)",
    "Pow": "Pow({0}, two)",
    "Max": "Max({0}, k)",
    "Min": "Min(k, {0})",
    "Mul": "Mul({0}, half)",
    "Div": "Div({0}, k)",
    "Add": "Add(k, {0})",
    "Sub": "Sub(half, {0})",
    "Sum": "Sum({0}, k, half)",
    "Mod": "Mod<fmod = 1>({0}, half)",
}
DOUBLE = [
    "Mul({0}, {1})",
    "Div({0}, {1})",
    "Add({0}, {1})",
    "Sub({0}, {1})",
    "Max({0}, {1})",
    "Min({0}, {1})",
    "Pow({0}, {1})",
    "Sum({0}, {1}, {0})",
    "Max({0}, {1}, {2})",
    "Clip({0}, low, high)",
    "PRelu({0}, {1})",
    "Mod<fmod = 1>({0}, {1})",
]
ELEMENTWISE = [
    op for op in neuron_operators() if is_elementwise(op, "") and onnx.defs.has(op, max_inclusive_version=20)
]
CALLS = [SINGLE.get(op, f"{op}({{0}})") for op in sorted({*ELEMENTWISE, "Add", "Sub", "Neg", "Sum"})]


@st.composite
def dags(draw):
    """Nodes of a random elementwise graph over x and z; some of its tensors go through a Gemm into the outputs."""
    tensors, nodes = ["x", "z"], []
    for i in range(draw(st.integers(2, 9))):
        call = draw(st.sampled_from(CALLS) | st.sampled_from(DOUBLE))
        operands = [draw(st.sampled_from(tensors[-4:])) for _ in range(3)]
        tensors.append(f"t{i}")
        nodes.append(f"t{i} = {call.format(*operands)}")
    # Gemm: onnxruntime 1.32 cannot load two MatMul behind a chain of multiplications by scalars
    taken = draw(st.lists(st.sampled_from(tensors[2:]), min_size=1, max_size=3, unique=True))
    nodes += [f"y{i} = Gemm({name}, w)" for i, name in enumerate(taken)]
    return " ".join(nodes), tuple(f"y{i}" for i in range(len(taken)))


@settings(max_examples=200, deadline=None)
@given(dags())
def test_random_graphs_keep_their_outputs_and_no_region_has_more_than_two_inputs(dag):
    nodes, outputs = dag
    for region in find_regions(graph_of(nodes, outputs=outputs)):
        assert len(region.inputs) <= MOST_INPUTS or len(region.nodes) == 1
    model = model_of(nodes, outputs=outputs)
    feeds = {"x": normal(3, 4, seed=4), "z": normal(3, 4, seed=5)}
    with np.errstate(all="ignore"):
        expected, found = run_model(model, feeds), run_model(run_pass(FuseElementwise(), model)[0], feeds)
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("call", CALLS)
def test_every_elementwise_operator_may_stand_in_a_chain(call):
    model = model_of(f"a = Sigmoid(x) b = {call.format('a')} c = Tanh(b) y = MatMul(c, w)", inputs=("x",))
    fused, record = run_pass(FuseElementwise(), model)
    assert len(record.rewrote) == 1
    assert [node.domain for node in fused.graph.node] == ["spikec.f", ""]
    feeds = {"x": normal(3, 4, seed=4)}
    np.testing.assert_allclose(
        run_model(fused, feeds)["y"], run_model(model, feeds)["y"], rtol=1e-5, atol=1e-5, equal_nan=True
    )
