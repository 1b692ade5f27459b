import numpy as np
import pytest

from spikec.passes.graph_io import import_graph
from spikec.passes.value_path import ValuePath
from tests.models.graphs import ints, normal, parse, scalar

HEAD = {"w": normal(4, 3), "c": normal(3)}


def path_of(nodes, outputs="float[N, 3] y", **constants):
    """The value path of a graph whose nodes start from x (N, 4), and its nodes by name."""
    graph = import_graph(parse(f"g (float[N, 4] x) => ({outputs}) {{ {nodes} }}", **HEAD, **constants))
    return ValuePath(graph), {node.name: node for node in graph.nodes}


def readout(nodes, outputs="float[N, 3] y", **constants):
    return path_of(nodes, outputs, **constants)[0].readout


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Sigmoid", "Relu", "Hardmax"])
def test_a_classifier_ends_in_its_readout(op):
    assert readout(f"[fc] a = Gemm(x, w, c) [last] y = {op}(a)") == {"last"}


def test_arg_max_and_what_follows_it():
    nodes = "[fc] a = Gemm(x, w) [best] b = ArgMax<axis = 1, keepdims = 0>(a) [wide] y = Cast<to = 1>(b)"
    assert readout(nodes, "float[N] y") == {"best", "wide"}


def test_linear_nodes_before_the_first_nonlinearity_of_the_readout_are_no_readout():
    nodes = "[fc] a = Gemm(x, w) [scale] b = Mul(a, c) [norm] d = Softmax(b) [shift] y = Add(d, c)"
    assert readout(nodes) == {"norm", "shift"}


def test_a_nonlinearity_before_the_last_weights_is_a_neuron():
    path, nodes = path_of("[act] a = Relu(x) [fc] y = Gemm(a, w, c)")
    assert path.readout == set()
    assert path.is_nonlinearity(nodes["act"]) and not path.is_nonlinearity(nodes["fc"])
    assert path.is_affine(nodes["fc"])


def test_nothing_is_linear_in_booleans_and_integers():
    nodes = """[less] b = Less(x, x) [flat] f = Flatten(b) [cast] a = Cast<to = 1>(f) [round] i = Cast<to = 7>(a)
               [twice] t = Add(i, i) [back] d = Cast<to = 1>(t) [fc] y = MatMul(d, w)"""
    path, found = path_of(nodes)
    assert {name for name, node in found.items() if path.is_nonlinearity(node)} == set(found) - {"fc"}


def test_two_heads_each_with_a_readout_of_its_own():
    nodes = """[act] a = Tanh(x) [left] b = MatMul(a, w) [soft] y = Softmax(b)
               [right] d = MatMul(a, w) [step] z = Sigmoid(d)"""
    assert readout(nodes, "float[N, 3] y, float[N, 3] z") == {"soft", "step"}


def test_a_head_without_weights_is_a_readout_even_where_its_sibling_goes_on():
    nodes = "[act] a = Relu(x) [fc] y = MatMul(a, w) [soft] z = Softmax(x)"
    assert readout(nodes, "float[N, 3] y, float[N, 4] z") == {"soft"}


def test_an_activation_that_is_an_output_and_goes_on_is_a_neuron():
    assert readout("[act] z = Relu(x) [fc] y = MatMul(z, w)", "float[N, 3] y, float[N, 4] z") == set()


def test_readouts_may_join():
    nodes = "[fc] a = MatMul(x, w) [one] b = Softmax(a) [two] d = Sigmoid(a) [both] y = Mul(b, d)"
    assert readout(nodes) == {"one", "two", "both"}


def test_shapes_are_no_values():
    nodes = """[shape] s = Shape(x) [ones] o = ConstantOfShape<value = float[1] {1}>(s)
               [sum] a = Add(x, o) [fc] y = MatMul(a, w)"""
    path, nodes = path_of(nodes)
    assert not path.on_path(nodes["shape"]) and not path.on_path(nodes["ones"])
    assert path.positions(nodes["sum"]) == (0,)
    assert path.tensors == {"x", "a", "y"}


def test_constant_branches_are_not_on_the_path():
    path, nodes = path_of("[square] k = Mul(c, c) [fc] y = Gemm(x, w, k)")
    assert not path.on_path(nodes["square"]) and not path.is_nonlinearity(nodes["square"])
    assert path.positions(nodes["fc"]) == (0,)


def test_positions_count_every_input_that_carries_values():
    path, nodes = path_of(
        "[act] a = Relu(x) [all] d = Concat<axis = 1>(a, k, x) [fc] y = MatMul(d, u)", k=normal(1, 1), u=normal(9, 3)
    )
    assert path.positions(nodes["all"]) == (0, 2)


@pytest.mark.parametrize(
    ("to", "affine"), [(1, True), (10, False), (11, False), (16, False), (7, False), (9, False), (3, False)]
)
def test_a_cast_is_affine_only_where_it_does_not_round(to, affine):
    path, nodes = path_of(f"[cast] a = Cast<to = {to}>(x) b = Cast<to = 1>(a) [fc] y = MatMul(b, w)")
    assert path.is_affine(nodes["cast"]) is affine
    assert path.is_nonlinearity(nodes["cast"]) is not affine


@pytest.mark.parametrize("to", [10, 11])
def test_a_cast_to_another_type_at_the_end_is_readout(to):
    """What is summed over time is float32; an output of another type is cast when it is read."""
    nodes = f"[act] a = Relu(x) [fc] b = MatMul(a, w) [narrow] y = Cast<to = {to}>(b)"
    assert readout(nodes, f"{'float16' if to == 10 else 'double'}[N, 3] y") == {"narrow"}


def test_batch_normalization_in_training_mode_is_not_affine():
    text = "a, m, v = BatchNormalization<training_mode = {}>(x, s, s, s, s) y = MatMul(a, w)"
    for mode in (0, 1):
        nodes = text.format(mode) if mode else text.format(mode).replace("a, m, v", "a")
        path, nodes = path_of(f"[norm] {nodes}", s=np.ones(4, np.float32))
        assert path.is_affine(nodes["norm"]) is (mode == 0)


def test_every_input_of_the_graph_starts_the_path():
    text = "g (float[N, 4] x, float[N, 4] z) => (float[N, 3] y) { [gate] a = Mul(x, z) [fc] y = MatMul(a, w) }"
    graph = import_graph(parse(text, w=normal(4, 3)))
    path = ValuePath(graph)
    assert path.positions(graph.nodes[0]) == (0, 1)
    assert path.is_nonlinearity(graph.nodes[0])


def test_a_weight_that_only_a_shape_reaches_keeps_the_nonlinearity_a_neuron():
    """Cautious on purpose: a neuron too many computes the same network, a readout too many would not."""
    nodes = "[act] a = Relu(x) s = Shape(a) [fill] b = Expand(one, s) [fc] y = MatMul(b, w) [out] z = Neg(a)"
    path, named = path_of(nodes, "float[N, 3] y, float[N, 4] z", one=scalar(1))
    assert path.is_nonlinearity(named["act"])
    assert not path.on_path(named["fill"])


def test_a_shape_that_depends_on_values_is_not_affine():
    path, nodes = path_of(
        "[act] a = Relu(x) n = ReduceSum<keepdims = 0>(a) i = Cast<to = 7>(n) d = Reshape(i, one) [grow] "
        "b = Expand(x, d) y = MatMul(b, w)",
        one=ints(1),
    )
    assert path.positions(nodes["grow"]) == (0, 1)
    assert not path.is_affine(nodes["grow"])
