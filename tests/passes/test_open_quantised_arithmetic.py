"""QLinearConv and QLinearMatMul in the form QDQ: what onnxruntime's integer kernels compute, but for ties."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from spikec.onnx_session import run_model
from spikec.passes import OpenQuantisedArithmetic, UnsupportedNode
from tests.models.graphs import count, operators, parse, run_pass, scalar

TYPES = {"uint8": np.uint8, "int8": np.int8}


def integers(rng, dtype, *shape):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def middle(rng, dtype, *shape):
    """Zero points near the middle of the range: else all results saturate."""
    info = np.iinfo(dtype)
    return ((info.min + info.max + 1) // 2 + rng.integers(-20, 20, shape)).astype(dtype)


def same_up_to_ties(model, x):
    """Outputs differ by one level at most, and hardly anywhere."""
    rewritten, record = run_pass(OpenQuantisedArithmetic(), model)
    assert record.rewrote == ["op"]
    before, after = (run_model(each, {"x": x})["y"].astype(int) for each in (model, rewritten))
    assert np.abs(before - after).max() <= 1 and (before != after).mean() < 0.01
    assert len(np.unique(before)) > 10
    return rewritten


@st.composite
def convolutions(draw):
    kind, per_channel, bias = draw(st.sampled_from(sorted(TYPES))), draw(st.booleans()), draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype, group = TYPES[kind], draw(st.sampled_from([1, 2]))
    constants = {
        "xs": scalar(0.02),
        "xz": middle(rng, dtype),
        "k": integers(rng, np.int8, 4, 4 // group, 3, 3),
        "ks": rng.uniform(0.005, 0.01, 4 if per_channel else ()).astype(np.float32),
        "kz": np.zeros(4 if per_channel else (), np.int8),
        "ys": scalar(0.08),
        "yz": middle(rng, dtype),
        **({"b": rng.integers(-5000, 5000, 4).astype(np.int32)} if bias else {}),
    }
    nodes = f"[op] y = QLinearConv<group = {group}, pads = [1, 1, 1, 1], strides = [2, 1]>"
    text = f"{nodes}(x, xs, xz, k, ks, kz, ys, yz{', b' if bias else ''})"
    graph = f"g ({kind}[N, 4, 6, 6] x) => ({kind}[N, 4, 3, 6] y) {{ {text} }}"
    return parse(graph, **constants), integers(rng, dtype, 2, 4, 6, 6)


@settings(max_examples=30, deadline=None)
@given(convolutions())
def test_convolutions(case):
    rewritten = same_up_to_ties(*case)
    assert count(rewritten, "Conv") == 1 and count(rewritten, "QuantizeLinear") == 1


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(TYPES)), st.booleans(), st.integers(0, 2**32 - 1))
def test_products(kind, per_column, seed):
    rng, dtype = np.random.default_rng(seed), TYPES[kind]
    constants = {
        "xs": scalar(0.02),
        "xz": middle(rng, dtype),
        "w": integers(rng, dtype, 6, 5),
        "ws": rng.uniform(0.005, 0.01, 5 if per_column else ()).astype(np.float32),
        "wz": middle(rng, dtype, *(5,) * per_column),
        "ys": scalar(0.06),
        "yz": middle(rng, dtype),
    }
    graph = f"g ({kind}[N, 7, 6] x) => ({kind}[N, 7, 5] y) {{ [op] y = QLinearMatMul(x, xs, xz, w, ws, wz, ys, yz) }}"
    rewritten = same_up_to_ties(parse(graph, **constants), integers(rng, dtype, 4, 7, 6))
    assert operators(rewritten) == ["DequantizeLinear", "DequantizeLinear", "MatMul", "QuantizeLinear"]


DYNAMIC = "[op] q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, w, z) f = Cast<to = 1>(i) y = Mul(f, s)"
REFUSED = {
    "DynamicQuantizeLinear": DYNAMIC,
    "MatMulInteger": "q = QuantizeLinear(x, one) [op] i = MatMulInteger(q, w) f = Cast<to = 1>(i) y = Mul(f, one)",
    "ConvInteger": "u = Unsqueeze(x, last) q = QuantizeLinear(u, one) [op] i = ConvInteger(q, k) y = Cast<to = 1>(i)",
}


@pytest.mark.parametrize("op", REFUSED)
def test_other_integer_arithmetic_is_refused_even_where_no_weights_follow(op):
    constants = {
        "w": np.ones((3, 3), np.uint8),
        "k": np.ones((2, 4, 1), np.uint8),
        "one": scalar(1),
        "last": np.array([2]),
    }
    shape = "2, 4" if op == "ConvInteger" else "4, 4, 3"
    model = parse(f"g (float[{shape}] x) => (float y) {{ {REFUSED[op]} }}", **constants)
    with pytest.raises(UnsupportedNode, match=r"quant_format=QuantFormat\.QDQ") as refused:
        run_pass(OpenQuantisedArithmetic(), model)
    assert (refused.value.node, refused.value.op) == ("op", op)
