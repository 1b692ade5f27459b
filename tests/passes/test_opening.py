import numpy as np
import pytest

from spikec.passes import UnsupportedNode
from spikec.passes.graph_io import import_graph
from spikec.passes.opening import TINY, Opening, open_nodes, openable, tree
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, reasons, run_pass

X = {"x": normal(3, 4)}


def model_of(nodes, **constants):
    text = f"g (float[N, 4] x) => (float[N, 4] y) {{ {nodes} y = MatMul(a, w) }}"
    return parse(text, w=normal(4, 4), **constants)


def opens(form, op="Relu"):
    return lambda graph: open_nodes(graph, {op: form})


def opening_of(nodes, name):
    graph = import_graph(model_of(nodes))
    return Opening(graph, next(node for node in graph.nodes if node.name == name))


def relu(opening):
    size = opening.add("Abs", [opening.x], "size")
    total = opening.add("Add", [opening.x, size], "total")
    return opening.add("Mul", [total, opening.number(0.5, "half")], "relu")


def test_parts_are_named_after_the_node_and_the_last_makes_its_output():
    model, record = keeps_outputs(opens(relu), model_of("[act] a = Relu(x)"), X)
    made = {node.name: list(node.output) for node in model.graph.node if node.name.startswith("act/")}
    assert made == {"act/size": ["act/size"], "act/total": ["act/total"], "act/relu": ["a"]}
    assert [tensor.name for tensor in model.graph.initializer if tensor.name.startswith("act")] == ["act/half"]
    assert record.rewrote == ["act"]


def test_nodes_one_behind_the_other_are_all_opened():
    model, record = keeps_outputs(opens(relu), model_of("[one] h = Relu(x) [two] a = Relu(h)"), X)
    assert record.rewrote == ["one", "two"] and count(model, "Relu") == 0


def test_a_form_that_returns_its_input_leaves_a_wire():
    model, _ = run_pass(opens(lambda opening: opening.x), model_of("[act] a = Relu(x)"))
    wire = model.graph.node[0]
    assert (wire.name, wire.op_type, list(wire.output)) == ("act/wire", "Identity", ["a"])


def test_only_nonlinearities_on_the_value_path_are_opened():
    """The first Relu is of a constant, the last is readout."""
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      [still] c = Relu(k) [act] h = Relu(x) a = Add(h, c) b = MatMul(a, w) [out] y = Relu(b) }"""
    graph = import_graph(parse(text, w=normal(4, 4), k=normal(4)))
    assert [node.name for node in openable(graph, ["Relu"])] == ["act"]


def test_operators_of_other_domains_are_not_opened():
    graph = import_graph(model_of("[act] a = Relu(x)"))
    graph.nodes[0].domain = "made.up"
    assert openable(graph, ["Relu"]) == []
    graph.nodes[0].domain = "ai.onnx"
    assert [node.name for node in openable(graph, ["Relu"])] == ["act"]


def test_a_node_of_which_more_than_the_first_output_is_used_is_skipped_with_the_reason():
    nodes = "[op] n, m = LayerNormalization(x, s) a = Add(n, m)"
    model, record = run_pass(opens(lambda o: o.x, "LayerNormalization"), model_of(nodes, s=normal(4)))
    assert record.rewrote == [] and reasons(record) == {"op": "more than its first output is used"}
    assert operators(model) == ["Add", "LayerNormalization", "MatMul"]


def test_a_refusal_names_the_node():
    with pytest.raises(UnsupportedNode) as refused:
        opening_of("[act] a = Relu(x)", "act").refuse("it is odd", "make it even")
    error = refused.value
    assert (error.node, error.op, error.reason, error.way_out) == ("act", "Relu", "it is odd", "make it even")


def test_the_floor_is_the_least_normal_number_of_float32():
    assert np.float32(TINY) > 0 and np.float32(TINY) / 2 < np.finfo(np.float32).tiny
    assert np.isfinite(np.float32(1) / np.float32(TINY))


@pytest.mark.parametrize(("leaves", "depth"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (9, 4)])
def test_a_tree_is_balanced(leaves, depth):
    opening = opening_of("[act] a = Relu(x)", "act")
    terms = [opening.add("Neg", [opening.x], f"leaf{i}") for i in range(leaves)]
    root = tree(opening, "Max", terms, "max")

    def longest(tensor):
        made = tensor.inputs[0]
        return 0 if made.op == "Neg" else 1 + max(longest(item) for item in made.inputs)

    assert longest(root) == depth
    assert sum(node.op == "Max" for node in opening.graph.nodes) == leaves - 1


def test_numbers_are_scalars_and_integers_vectors():
    opening = opening_of("[act] a = Relu(x)", "act")
    number, integers = opening.number(2.5, "n"), opening.integers((1, 2), "i")
    assert (number.name, number.values.dtype, number.values.shape) == ("act/n", np.float32, ())
    assert (integers.name, integers.values.dtype, integers.values.tolist()) == ("act/i", np.int64, [1, 2])


def test_at_least_is_a_maximum_with_a_constant():
    form = opens(lambda opening: opening.at_least(opening.x, 0, "positive"))
    model, _ = keeps_outputs(form, model_of("[act] a = Relu(x)"), X)
    assert operators(model) == ["MatMul", "Max"]
