import pytest

from spikec.passes.graph_io import import_graph
from spikec.passes.row_forms import RowForms
from tests.models.graphs import ints, normal, parse

CONSTANTS = {
    "zero": ints(0),
    "first": ints(1),
    "last": ints(-1),
    "both": ints(-2, -1),
    "scalar": normal(),
    "row": normal(4),
    "column": normal(4, 1),
    "batch": normal(2, 1, 1),
    "wide": normal(5, 1, 1, 1),
    "slope": normal(4, 1),
}


def form(nodes, shape="N, 4, 4, 1", root="x"):
    """The form of tensor y, made of x."""
    text = f"g (float[{shape}] x) => (float[] y) {{ {nodes} }}"
    graph = import_graph(parse(text, **CONSTANTS))
    return RowForms(graph.tensors()[root], graph.nodes).forms["y"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("y = Abs(x)", (0, 1, 2)),
        ("y = ReduceMax(x, last)", (0, 1, None)),
        ("y = ReduceMax(x)", (None, None, None)),
        ("y = ReduceMax<keepdims = 0>(x)", ()),
        ("y = ReduceMax<noop_with_empty_axes = 1>(x)", (0, 1, 2)),
        ("y = ReduceMax<keepdims = 0>(x, first)", (0, 2)),
        ("y = ReduceMax<keepdims = 0>(x, both)", (0,)),
        ("y = GlobalAveragePool(x)", (0, 1, None)),
        ("r = ReduceMax<keepdims = 0>(x, first) y = Unsqueeze(r, first)", (0, None, 2)),
        ("r = ReduceMax<keepdims = 0>(x, first) y = Unsqueeze(r, last)", (0, 2, None)),
        ("r = ReduceMax(x, last) y = Squeeze(r, last)", (0, 1)),
        ("y = Squeeze(x, last)", None),
        ("r = Squeeze(x, last) y = Abs(r)", None),
        ("r = Squeeze(x, last) y = ReduceMax(r, last)", None),
        ("r = ReduceMax(x, last) y = Squeeze(r)", None),
        ("r = ReduceMax(x, last) y = Sub(x, r)", (0, 1, 2)),
        ("r = ReduceMax(x, last) c = ReduceMax(x, first) y = Sub(r, c)", (0, 1, 2)),
        ("r = ReduceMax<keepdims = 0>(x, first) t = Unsqueeze(r, last) y = Sub(x, t)", None),
        ("r = ReduceMax<keepdims = 0>(x, first) y = Sub(x, r)", None),
        ("r = ReduceMax<keepdims = 0>(x) y = Sub(x, r)", (0, 1, 2)),
        ("y = Mul(x, scalar)", (0, 1, 2)),
        ("y = Mul(row, x)", (0, 1, 2)),
        ("y = PRelu(x, slope)", (0, 1, 2)),
        ("r = ReduceMax(x, last) y = Mul(r, row)", (0, 1, 2)),
        ("r = ReduceMax(x, last) y = Mul(r, column)", (0, 1, None)),
        ("y = Mul(x, batch)", None),
        ("y = Mul(x, wide)", None),
    ],
)
def test_forms(nodes, expected):
    assert form(nodes, "N, 4, 4") == expected


def test_axes_of_one_element_are_as_good_as_reduced():
    assert form("y = Abs(x)") == (0, 1, 2, None)
    assert form("y = Squeeze(x, last)") == (0, 1, 2)
    assert form("r = ReduceMax<keepdims = 0>(x, first) t = Unsqueeze(r, last) y = Mul(x, t)", "N, 1, 1") == (
        0,
        None,
        None,
    )


def test_a_constant_does_not_widen_an_axis_of_one_element():
    assert form("y = Mul(x, row)") is None


def test_whole_is_what_has_the_shape_of_the_root():
    graph = import_graph(
        parse("g (float[N, 4, 1] x) => (float[N, 4, 1] y) { r = ReduceMax(x, first) y = Sub(x, r) }", **CONSTANTS)
    )
    forms = RowForms(graph.inputs[0], graph.nodes)
    tensors = graph.tensors()
    assert [forms.is_whole(tensors[name]) for name in "xry"] == [True, False, True]
