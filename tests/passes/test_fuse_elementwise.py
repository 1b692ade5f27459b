import numpy as np
import pytest

from spikec.passes import FuseElementwise
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, run_pass, same_outputs, scalar

W = normal(4, 4, seed=3)
SCALARS = {
    "half": scalar(0.5),
    "one": scalar(1),
    "three": scalar(3),
    "six": scalar(6),
    "zero": scalar(0),
    "cube": scalar(0.044715),
    "root": scalar(np.sqrt(2 / np.pi)),
    "root2": scalar(np.sqrt(2)),
    "k": normal(4),
    "slope": normal(4, seed=1),
}
FEEDS = {"x": normal(5, 4), "z": normal(5, 4, seed=1)}

SILU = "s = Sigmoid(x) a = Mul(x, s)"
GELU_TANH = """x3 = Pow(x, three) c = Mul(x3, cube) i = Add(x, c) r = Mul(i, root) t = Tanh(r) u = Add(t, one)
               h = Mul(x, half) a = Mul(h, u)"""
GELU_ERF = "d = Div(x, root2) e = Erf(d) u = Add(e, one) p = Mul(x, u) a = Mul(p, half)"
X_TANH_EXP = "e = Exp(x) t = Tanh(e) a = Mul(x, t)"
HARD_SWISH = "p = Add(x, three) c = Clip(p, zero, six) d = Div(c, six) a = Mul(x, d)"
GATE = "s = Sigmoid(z) a = Mul(x, s)"
PRELU_CHAIN = "p = PRelu(x, slope) a = Exp(p)"
PER_CHANNEL = "b = Add(x, k) s = Sigmoid(b) a = Mul(x, s)"


def model_of(nodes, **more):
    text = f"g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y) {{ {nodes} y = MatMul(a, w) }}"
    return parse(text, w=W, **SCALARS, **more)


def fused(nodes):
    return keeps_outputs(FuseElementwise(), model_of(nodes), FEEDS)


@pytest.mark.parametrize("chain", [SILU, GELU_TANH, X_TANH_EXP, HARD_SWISH, GATE, PRELU_CHAIN, PER_CHANNEL])
def test_a_chain_becomes_one_function(chain):
    model, record = fused(chain)
    assert len(model.graph.node) == 2 and len(model.functions) == 1
    assert [node.domain for node in model.graph.node] == ["spikec.f", ""]
    assert record.rewrote == ["a"]


def test_a_linear_tail_stays_outside():
    model, record = fused(GELU_ERF)
    assert [node.op_type for node in model.graph.node][1:] == ["Mul", "MatMul"]
    assert record.rewrote == ["p"]


def test_the_record_tells_what_stands_for_the_tensors_that_are_gone():
    _, record = fused(X_TANH_EXP)
    assert record.absorbed == {"e": "a", "t": "a"}


@pytest.mark.parametrize(("chain", "inputs"), [(SILU, 1), (GATE, 2), (PRELU_CHAIN, 2), (PER_CHANNEL, 2)])
def test_arguments_are_values_first_then_parameters(chain, inputs):
    model, _ = fused(chain)
    call = model.graph.node[0]
    assert len(call.input) == len(model.functions[0].input) == inputs
    assert call.input[0] in ("x", "z")


def test_slopes_and_channel_constants_are_parameters():
    assert "slope" in fused(PRELU_CHAIN)[0].graph.node[0].input
    assert "k" in fused(PER_CHANNEL)[0].graph.node[0].input


def test_a_residual_keeps_its_add_outside():
    model, record = fused(f"{SILU.replace('a =', 'f =')} a = Add(x, f)")
    assert count(model, "Add") == 1
    assert record.rewrote == ["f"]


def test_two_nonlinear_branches_and_their_sum_are_one_function():
    model, record = fused("f = Tanh(x) e = Exp(x) n = Neg(e) a = Add(f, n)")
    assert len(model.graph.node) == 2
    assert record.rewrote == ["a"]


def test_a_single_operator_is_left_as_it_is():
    model, record = fused("a = Relu(x)")
    assert operators(model) == ["MatMul", "Relu"]
    assert record.rewrote == [] and len(model.functions) == 0


def test_an_inner_tensor_with_a_consumer_outside_stays():
    model, _ = fused("s = Sigmoid(x) m = Mul(x, s) o = MatMul(s, w) a = Add(m, o)")
    assert count(model, "Sigmoid") == 1
    assert count(model, "Mul") == 0


def test_an_inner_output_of_the_graph_keeps_its_name():
    text = "g (float[N, 4] x) => (float[N, 4] y, float[N, 4] s) { s = Sigmoid(x) a = Mul(x, s) y = MatMul(a, w) }"
    keeps_outputs(FuseElementwise(), parse(text, w=W), {"x": FEEDS["x"]})


def test_equal_chains_share_one_function():
    model, record = fused("s = Sigmoid(x) m = Mul(x, s) d = MatMul(m, w) t = Sigmoid(d) a = Mul(d, t)")
    assert record.rewrote == ["a", "m"]
    assert len(model.functions) == 1


def test_square_and_product_get_different_functions():
    model, _ = fused("q = Mul(x, x) e = Exp(q) p = Mul(x, z) f = Exp(p) a = Add(e, f)")
    assert len(model.functions) == 2
    assert sorted(len(function.input) for function in model.functions) == [1, 2]


def test_a_chain_fused_again_into_a_longer_one_drops_the_old_function():
    """As after OpenLayerNorm: what was fused before may turn out to be the end of a longer chain."""
    first, _ = fused(SILU)
    longer = model_of("a = Mul(x, x)")
    del longer.graph.node[:]
    square = parse("g (float[N, 4] x) => (float[N, 4] q) { q = Exp(x) }").graph.node[0]
    call, last = first.graph.node
    call.input[0] = "q"
    longer.graph.node.extend([square, call, last])
    longer.functions.extend(first.functions)
    longer.opset_import.extend(entry for entry in first.opset_import if entry.domain)
    again, record = keeps_outputs(FuseElementwise(), longer, FEEDS)
    assert record.rewrote == ["a"]
    assert [function.name.rpartition("_")[0] for function in again.functions] == ["Exp_Sigmoid"]
    assert {node.domain for node in again.functions[0].node} == {""}, "the body is standard operators"


def test_running_the_pass_twice_changes_nothing():
    once, _ = fused(GATE)
    twice, record = run_pass(FuseElementwise(), once)
    assert record.rewrote == []
    assert twice.functions == once.functions
    same_outputs(once, twice, FEEDS, tolerance=0)


def test_broadcasting_operands():
    text = (
        "g (float[N, 3, 4] x, float[N, 1, 4] z) => (float[N, 3, 4] y) { s = Sigmoid(z) a = Mul(x, s) y = MatMul(a, w) }"
    )
    model, _ = keeps_outputs(FuseElementwise(), parse(text, w=W), {"x": normal(2, 3, 4), "z": normal(2, 1, 4)})
    assert len(model.graph.node) == 2


def test_the_readout_is_not_fused():
    text = "g (float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, w) s = Sigmoid(a) y = Mul(a, s) }"
    model, record = keeps_outputs(FuseElementwise(), parse(text, w=W), {"x": FEEDS["x"]})
    assert record.rewrote == [] and count(model, "Sigmoid") == 1
