import numpy as np
import pytest

from spikec.passes import CancelTransposes, FuseElementwise
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, reasons, run_pass

X = {"x": normal(2, 3, 4, 5)}
HEAD = "g (float[N, 3, 4, 5] x) => (float[A, B, C, D] y)"
LAST, FIRST = "[0, 2, 3, 1]", "[0, 3, 1, 2]"  # channels last, channels first


def turned(between, end="y = Neg(b)", before=LAST, after=FIRST, **constants):
    """x -> Transpose -> ``between`` (from t to e) -> Transpose -> ``end`` (from b to y)."""
    text = f"[first] t = Transpose<perm = {before}>(x) {between} [last] b = Transpose<perm = {after}>(e) {end}"
    return parse(f"{HEAD} {{ {text} }}", **constants)


@pytest.mark.parametrize(
    "between",
    [
        "e = Relu(t)",
        "u = Pow(t, three) v = Mul(factor, u) e = Tanh(v)",
        "e = Mul(t, t)",
        "e = Clip(t, , factor)",
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)])
def test_a_pair_around_elementwise_operators_goes(between, shape):
    constants = {"three": np.full(shape, 3, np.float32), "factor": np.full((), 0.5, np.float32)}
    model = turned(between, **constants)
    rewritten, record = keeps_outputs(CancelTransposes(), model, X)
    assert record.rewrote == ["last"]
    assert count(rewritten, "Transpose") == 0
    assert len(rewritten.graph.node) == len(model.graph.node) - 2


def test_a_pair_with_nothing_between_goes():
    text = f"e = Transpose<perm = {LAST}>(x) b = Transpose<perm = {FIRST}>(e) y = Neg(b)"
    rewritten, _ = keeps_outputs(CancelTransposes(), parse(f"{HEAD} {{ {text} }}"), X)
    assert operators(rewritten) == ["Neg"]


def test_transposes_without_a_perm_are_each_others_inverse():
    text = "t = Transpose(x) e = Relu(t) b = Transpose(e) y = Neg(b)"
    rewritten, _ = keeps_outputs(CancelTransposes(), parse(f"{HEAD} {{ {text} }}"), X)
    assert operators(rewritten) == ["Neg", "Relu"]


@pytest.mark.parametrize(
    "between",
    [
        "e = Add(t, row)",  # the constant lies along one axis
        "e = Softmax(t)",
        "u = Relu(t) v = Exp(u) e = Add(u, v)",  # two ways through
        "u = Relu(t) e = Add(u, t)",
    ],
)
def test_what_lies_along_an_axis_or_branches_stays(between):
    rewritten, record = keeps_outputs(CancelTransposes(), turned(between, row=normal(3)), X)
    assert count(rewritten, "Transpose") == 2
    assert record.rewrote == []


@pytest.mark.parametrize("after", [LAST, "[0, 1, 2, 3]"])
def test_transposes_that_are_not_inverse_stay(after):
    rewritten, _ = keeps_outputs(CancelTransposes(), turned("e = Relu(t)", after=after), X)
    assert count(rewritten, "Transpose") == 2


def test_an_inner_tensor_that_something_else_reads_stays():
    rewritten, _ = keeps_outputs(CancelTransposes(), turned("e = Relu(t)", "s = ReduceMean(e) y = Add(b, s)"), X)
    assert count(rewritten, "Transpose") == 2


def test_the_first_stays_for_its_other_readers():
    model = turned("e = Relu(t)", "s = ReduceMax<keepdims = 0>(t) y = Add(b, s)")
    rewritten, record = keeps_outputs(CancelTransposes(), model, X)
    assert record.rewrote == ["last"]
    assert [node.name for node in rewritten.graph.node if node.op_type == "Transpose"] == ["first"]


def test_an_output_of_the_graph_keeps_its_name():
    text = f"t = Transpose<perm = {LAST}>(x) e = Relu(t) [last] y = Transpose<perm = {FIRST}>(e)"
    rewritten, record = keeps_outputs(CancelTransposes(), parse(f"{HEAD} {{ {text} }}"), X)
    assert count(rewritten, "Transpose") == 2
    assert reasons(record) == {"last": "its output is an output of the graph, whose name must stay"}


def test_pairs_in_a_row_and_inside_each_other_all_go():
    inner = f"a = Transpose<perm = {LAST}>(x) c = Relu(a) d = Transpose<perm = {FIRST}>(c)"
    outer = f"t = Transpose<perm = {LAST}>(d) e = Exp(t) b = Transpose<perm = {FIRST}>(e) y = Neg(b)"
    rewritten, _ = keeps_outputs(CancelTransposes(), parse(f"{HEAD} {{ {inner} {outer} }}"), X)
    assert operators(rewritten) == ["Exp", "Neg", "Relu"]


def test_a_gelu_as_tf2onnx_writes_it_for_images_becomes_one_function():
    gelu = """
        [first] t = Transpose<perm = [0, 2, 3, 1]>(x) p = Pow(t, three) q = Mul(p, small)
        [last] b = Transpose<perm = [0, 3, 1, 2]>(q) s = Add(x, b) m = Mul(s, root) h = Tanh(m) o = Add(h, one)
        f = Mul(x, half) g = Mul(f, o) y = Conv(g, w)
    """
    numbers = {"three": 3.0, "small": 0.044715, "root": 0.7978846, "one": 1.0, "half": 0.5}
    scalars = {name: np.array(value, np.float32) for name, value in numbers.items()}
    model = parse(f"{HEAD} {{ {gelu} }}", **scalars, w=normal(2, 3, 1, 1))
    cancelled, record = keeps_outputs(CancelTransposes(), model, X)
    assert record.absorbed == {"t": "q", "b": "q"}
    assert count(run_pass(FuseElementwise(), model)[0], "Pow") == 1, "a neuron of its own"
    fused = operators(run_pass(FuseElementwise(), cancelled)[0])
    assert len(fused) == 2
    assert fused[-1].startswith("spikec.f::")
