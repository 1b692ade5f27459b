import pytest

from spikec.passes.graph_io import import_graph
from spikec.passes.shape_names import name_dimensions, reshaped
from tests.models.graphs import ints, normal, parse

CONSTANTS = {
    "tail": ints(3, 4),
    "flat": ints(-1, 4),
    "windows": ints(-1, 3, 2),
    "back": ints(-1, 3, 4),
    "ones": ints(1, 1),
    "c": normal(1, 3, 4),
    "w": normal(4, 5),
    "v": normal(5, 4),
    "cond": normal(3, 4) > 0,
    "twice": ints(-1, 5),
}
BATCH = "b = Shape<start = 0, end = 1>(x)"


def named(nodes):
    """The graph with new names; what inference made up has names that are told by the tensor."""
    graph = import_graph(parse(f"g (float[N, 3, 4] x) => (float[] y) {{ {nodes} y = Identity(r) }}", **CONSTANTS))
    name_dimensions(graph)
    return {name: tensor.shape for name, tensor in graph.tensors().items()}


@pytest.mark.parametrize(
    ("nodes", "shape"),
    [
        ("a = Reshape(x, flat) r = Abs(a)", ["3*N", 4]),
        ("a = Reshape(x, windows) r = Reshape(a, back)", ["N", 3, 4]),
        (f"{BATCH} s = Concat<axis = 0>(b, tail) a = Reshape(x, s) r = Exp(a)", ["N", 3, 4]),
        (f"{BATCH} t = Concat<axis = 0>(b, ones) a = Tile(c, t) r = Add(x, a)", ["N", 3, 4]),
        (f"{BATCH} s = Concat<axis = 0>(b, tail) r = Expand(c, s)", ["N", 3, 4]),
        ("a = Reshape(x, windows) e = Reshape(a, back) p = MatMul(e, w) r = MatMul(p, v)", ["N", 3, 4]),
        ("a = Reshape(x, windows) e = Reshape(a, back) r = Where(cond, e, x)", ["N", 3, 4]),
    ],
)
def test_a_dimension_has_the_name_of_what_it_is_equal_to(nodes, shape):
    assert named(nodes)["r"] == shape


def test_sizes_that_do_not_come_out_even_keep_their_name():
    found = named("a = Reshape(x, twice) r = Abs(a)")
    assert found["r"][1] == 5 and found["r"][0] not in ("N", None)


def test_operands_that_disagree_leave_the_result_as_it_is():
    text = """g (float[N, 4] x, float[M, 4] z) => (float[K, 4] y) { a = Add(x, z) y = Abs(a) }"""
    graph = import_graph(parse(text))
    before = graph.tensors()["a"].shape
    name_dimensions(graph)
    assert graph.tensors()["a"].shape == before and before[0] not in ("N", "M")


@pytest.mark.parametrize(
    ("target", "attributes", "shape"),
    [
        ([0, -1], "", ["N", 12]),
        ([0, 0, 4], "", ["N", 3, 4]),
        ([-1, 6], "", ["2*N", 6]),
        ([-1, 5], "", None),
        ([3, 0, 4], "", [3, 3, 4]),
        ([0, 3, 4], "<allowzero = 1>", None),
        ([-1, 3, 4], "<allowzero = 1>", ["N", 3, 4]),
        ([1, 1, 1, 0], "", None),
    ],
)
def test_reshaped(target, attributes, shape):
    text = f"g (float[N, 3, 4] x) => (float[K] y) {{ r = Reshape{attributes}(x, t) y = Abs(r) }}"
    graph = import_graph(parse(text.replace("=> (float[K]", "=> (float[]"), t=ints(1)))
    graph.nodes[0].inputs[1].values = ints(*target)
    assert reshaped(graph.nodes[0]) == shape


def test_reshaped_needs_a_known_shape():
    graph = import_graph(parse("g (float[N, 3] x) => (float[M, 3] y) { a = Abs(x) y = Reshape(a, t) }", t=ints(-1, 3)))
    graph.nodes[0].outputs[0].shape = None
    assert reshaped(graph.nodes[1]) is None
