"""QuantizeLinear and DequantizeLinear of activations: the same numbers, bit by bit, in float32."""

import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from spikec.equivalence import EquivalenceCheck
from spikec.passes import FuseElementwise, OpenQuantisation, RemoveIdentity, UnsupportedNode
from tests.models.graphs import count, normal, operators, parse, run_pass, scalar

KINDS = {
    "int8": (np.int8, -128, 127),
    "uint8": (np.uint8, 0, 255),
    "int16": (np.int16, -(2**15), 2**15 - 1),
    "uint16": (np.uint16, 0, 2**16 - 1),
    "int4": (ml_dtypes.int4, -8, 7),
    "uint4": (ml_dtypes.uint4, 0, 15),
}
SHAPE = (2, 3, 4)
PAIR = "q = QuantizeLinear{attrs}(x, s, z) y = DequantizeLinear{attrs}(q, s, z)"
X = normal(2, 3, 4, 4) * 3


def model_of(nodes, output="float[N, 3, 4] y", dims="N, 3, 4", **constants):
    model = parse(f"g (float[{dims}] x) => ({output}) {{ {nodes} }}", 21, **constants)
    onnx.checker.check_model(model)
    return model


def exactly(model, x, mode="staircase"):
    """The model after the pass, its outputs compared bit by bit, both run node by node."""
    rewritten, record = run_pass(OpenQuantisation(mode), model)
    assert record.rewrote and not count(rewritten, "QuantizeLinear") and not count(rewritten, "DequantizeLinear")
    check = EquivalenceCheck(model, {"x": x}, 0.0, as_written=True)
    assert check(rewritten, "the pass") == 0
    return rewritten


@st.composite
def quantisers(draw):
    """A type, scale and zero point, per tensor or along an axis, and values that lie on and between the levels."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    dtype, low, high = KINDS[kind]
    axis = draw(st.sampled_from([None, 0, 1, 2, -1, -2, -3]))
    size = () if axis is None else (SHAPE[axis],)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = (10 ** rng.uniform(-4, 2, size)).astype(np.float32)
    zero = rng.choice([low, high, 0, rng.integers(low, high + 1)], size).astype(dtype)
    steps = scale if axis is None else scale.reshape(-1, *[1] * (len(SHAPE) - 1 - axis % len(SHAPE)))
    halves = rng.integers(2 * low - 10, 2 * high + 10, SHAPE) / 2  # ties go to the even integer
    x = (np.where(rng.random(SHAPE) < 0.5, halves, rng.normal(0, high, SHAPE)) * steps).astype(np.float32)
    x[0, 0, :2] = np.inf, -np.inf
    return axis, {"s": np.asarray(scale), "z": np.asarray(zero)}, x


@settings(max_examples=150, deadline=None)
@given(quantisers())
def test_a_pair_is_a_staircase_bit_by_bit(case):
    axis, constants, x = case
    attrs = "" if axis is None else f"<axis = {axis}>"
    model = exactly(model_of(PAIR.format(attrs=attrs), **constants), x)
    assert count(model, "Round") == 1 and count(model, "Cast") == 0


@settings(max_examples=60, deadline=None)
@given(quantisers(), st.floats(0.01, 10), st.integers(0, 100))
def test_integers_may_be_read_with_another_scale_and_zero_point(case, scale, zero):
    axis, constants, x = case
    attrs = "" if axis is None else f"<axis = {axis}>"
    other = {"s2": scalar(scale), "z2": np.asarray(zero % 7, constants["z"].dtype)}
    nodes = f"q = QuantizeLinear{attrs}(x, s, z) y = DequantizeLinear(q, s2, z2)"
    exactly(model_of(nodes, **constants, **other), x)


SIGNED = {"s": scalar(0.04), "z": np.array(-17, np.int8)}
UNSIGNED = {"s": scalar(0.05), "z": np.array(100, np.uint8)}
MOVES = {
    "Reshape": ("p = Reshape(q, shape)", {"shape": np.array([0, -1, 4])}),
    "Transpose": ("p = Transpose<perm = [0, 2, 1, 3]>(q)", {}),
    "MaxPool": ("p = MaxPool<kernel_shape = [2, 2], pads = [1, 1, 1, 1]>(q)", {}),
    "Concat with a constant": ("p = Concat<axis = 1>(q, k)", {"k": np.full((2, 1, 4, 4), 9)}),
    "Pad": ("p = Pad(q, pads, k)", {"pads": np.array([0, 0, 1, 0, 0, 0, 0, 2]), "k": np.array(3)}),
    "Split": ("p, r = Split<axis = 2, num_outputs = 2>(q)", {}),
    "two in a row": ("o = Transpose<perm = [0, 2, 1, 3]>(q) p = Flatten(o)", {}),
    "Resize": ("p = Resize(q, , scales)", {"scales": np.array([1, 1, 2, 2], np.float32)}),
}


@pytest.mark.parametrize("constants", [SIGNED, UNSIGNED], ids=["int8", "uint8"])
@pytest.mark.parametrize("name", MOVES)
def test_integers_are_moved_as_whole_numbers_in_float(name, constants):
    nodes, extra = MOVES[name]
    extra = {key: value.astype(constants["z"].dtype) if key == "k" else value for key, value in extra.items()}
    text = f"q = QuantizeLinear(x, s, z) {nodes} y = DequantizeLinear(p, s, z)"
    model = parse(f"g (float[2, 3, 4, 4] x) => (float y) {{ {text} }}", 21, **constants, **extra)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    exactly(model, X)


def test_one_quantiser_may_be_read_several_times():
    nodes = "q = QuantizeLinear(x, s, z) a = DequantizeLinear(q, s, z) b = DequantizeLinear(q, s, z) y = Add(a, b)"
    model = exactly(model_of(nodes, "float[N, 3, 4, 4] y", "N, 3, 4, 4", **SIGNED), X)
    assert operators(run_pass(RemoveIdentity(), model)[0]) == ["Add", "Clip", "Div", "Mul", "Round"]


BETWEEN = {
    "Slice": ("p = Slice(d, one, two, one)", 1),
    "Pad": ("p = Pad(d, pads)", 1),
    "Pad with zeros": ("p = Pad(d, pads, zero)", 1),
    "Pad with ones": ("p = Pad(d, pads, f)", 2),
    "MaxPool and Relu": ("m = MaxPool<kernel_shape = [2, 2]>(d) p = Relu(m)", 1),
    "AveragePool": ("p = AveragePool<kernel_shape = [2, 2]>(d)", 2),
    "Neg": ("p = Neg(d)", 2),
    "Resize": ('p = Resize<mode = "linear">(d, , scales)', 2),
}


@pytest.mark.parametrize("mode", ["staircase", "drop"])
@pytest.mark.parametrize("name", BETWEEN)
def test_a_pair_behind_an_equal_one_is_a_wire(name, mode):
    nodes, staircases = BETWEEN[name]
    pads, scales = np.array([0, 0, 1, 0, 0, 0, 0, 1]), np.array([1, 1, 1.7, 1], np.float32)
    constants = {"one": np.array([1]), "two": np.array([2]), "pads": pads, "scales": scales, "f": scalar(1.01)}
    unsigned = {"s": scalar(0.05), "z": np.array(0, np.uint8), "zero": scalar(0)}
    text = f"q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) {nodes} "
    text += "r = QuantizeLinear(p, s, z) y = DequantizeLinear(r, s, z)"
    model = parse(f"g (float[2, 3, 4, 4] x) => (float y) {{ {text} }}", 21, **unsigned, **constants)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    if mode == "staircase":
        exactly(model, X)
    rewritten, _ = run_pass(OpenQuantisation(mode), model)
    assert count(rewritten, "Clip") == staircases


def test_a_pair_behind_one_along_an_axis_stays():
    constants = {"s": np.array([0.1, 0.2, 0.3], np.float32), "z": np.zeros(3, np.int8)}
    attrs = "<axis = 1>"
    text = PAIR.format(attrs=attrs).replace("y =", "d =")
    text += f" r = QuantizeLinear{attrs}(d, s, z) y = DequantizeLinear{attrs}(r, s, z)"
    assert count(exactly(model_of(text, **constants), normal(*SHAPE)), "Round") == 2


def test_the_pair_may_be_an_output():
    model = exactly(model_of(PAIR.format(attrs=""), "float[N, 3, 4] y", **SIGNED), normal(*SHAPE))
    assert [node.op_type for node in model.graph.node if "y" in node.output] == ["Identity"]


@pytest.mark.parametrize("reader", ["", "y = DequantizeLinear(q, s, z)"])
def test_an_output_of_integers_keeps_its_type(reader):
    outputs = "uint8[N, 3, 4] q" + (", float[N, 3, 4] y" if reader else "")
    model = exactly(model_of(f"q = QuantizeLinear(x, s, z) {reader}", outputs, **UNSIGNED), normal(*SHAPE))
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_place_of_the_largest_integer():
    model = model_of("q = QuantizeLinear(x, s, z) y = ArgMax<axis = 1>(q)", "int64[N, 1, 4] y", **UNSIGNED)
    exactly(model, normal(*SHAPE))


def test_an_input_of_integers_is_dequantised_in_standard_operators():
    model = parse("g (uint8[N, 4] x) => (float[N, 4] y) { y = DequantizeLinear(x, s, z) }", 21, **UNSIGNED)
    rewritten = exactly(model, np.arange(8, dtype=np.uint8).reshape(2, 4) * 30)
    assert operators(rewritten) == ["Cast", "Mul", "Sub"]


def test_half_precision_is_rounded_in_single():
    constants = {"s": np.array(0.013, np.float16), "z": np.array(3, np.int8)}
    text = "g (float16[N, 3, 4] x) => (float16[N, 3, 4] y) { " + PAIR.format(attrs="") + " }"
    exactly(parse(text, 21, **constants), normal(2, 3, 4).astype(np.float16))


def test_relu_and_staircase_are_one_function():
    text = "r = Relu(x) q = QuantizeLinear(r, s, z) d = DequantizeLinear(q, s, z) y = MatMul(d, w)"
    model = model_of(text, "float[N, 3, 2] y", **SIGNED, w=normal(4, 2))
    for rewrite in (OpenQuantisation(), RemoveIdentity(), FuseElementwise()):
        model, _ = run_pass(rewrite, model)
    assert [node.op_type.rpartition("_")[0] for node in model.graph.node] == ["Relu_Div_Round_Mul_Clip", ""]


DROPPED = {
    "zero point inside": (np.array(-17, np.int8), lambda x: x),
    "the smallest integer is zero": (np.array(-128, np.int8), lambda x: np.clip(x, 0, 255 * np.float32(0.04))),
    "unsigned": (np.array(0, np.uint8), lambda x: np.clip(x, 0, 255 * np.float32(0.04))),
}


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize("between", ["", "p = Transpose<perm = [0, 2, 1]>(q)"], ids=["pair", "moved"])
def test_drop_leaves_rounding_out_and_keeps_the_relu(name, between):
    zero, expected = DROPPED[name]
    last = "y = DequantizeLinear(p, s, z)" if between else "y = DequantizeLinear(q, s, z)"
    output = "float[N, 4, 3] y" if between else "float[N, 3, 4] y"
    model = model_of(f"q = QuantizeLinear(x, s, z) {between} {last}", output, s=scalar(0.04), z=zero)
    rewritten, _ = run_pass(OpenQuantisation("drop"), model)
    x = normal(*SHAPE) * 8
    wanted = expected(x).transpose(0, 2, 1) if between else expected(x)
    found = EquivalenceCheck(rewritten, {"x": x}).reference["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-5)
    assert count(rewritten, "Round") == 0


REFUSED = {
    "a scale that is computed": ("t = Abs(s) q = QuantizeLinear(x, t, z) y = DequantizeLinear(q, t, z)", "q", "scale"),
    "blocks": ("q = QuantizeLinear<axis = 2, block_size = 2>(x, b) y = DequantizeLinear(q, s)", "q", "blocks"),
    "arithmetic": ("q = QuantizeLinear(x, s, z) p = Add(q, q) y = DequantizeLinear(p, s, z)", "p", "computes"),
    "a mean of integers": (
        'q = QuantizeLinear(x, s, z) p = Resize<mode = "linear">(q, , c) y = DequantizeLinear(p, s, z)',
        "p",
        "computes",
    ),
    "a cast to other integers": (
        "q = QuantizeLinear(x, s, z) p = Cast<to = 6>(q) y = Cast<to = 1>(p)",
        "p",
        "computes",
    ),
    "float8": ("q = QuantizeLinear(x, s, e) y = DequantizeLinear(q, s, e)", "q", "no integer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    nodes, node, reason = REFUSED[name]
    extra = {
        "b": np.ones((2, 3, 2), np.float32),
        "c": np.ones(3, np.float32),
        "e": np.zeros((), ml_dtypes.float8_e4m3fn),
    }
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenQuantisation(), model_of(nodes, dims="2, 3, 4", **SIGNED, **extra))
    assert refused.value.node == node and reason in refused.value.reason and refused.value.way_out


def test_an_axis_of_an_unknown_rank_is_refused():
    constants = {"s": np.ones(3, np.float32), "z": np.zeros(3, np.int8)}
    model = model_of("n = Neg(x) " + PAIR.format(attrs="<axis = 1>").replace("(x", "(n"), **constants)
    del model.graph.value_info[:]
    with pytest.raises(UnsupportedNode, match="rank"):
        run_pass(OpenQuantisation(), model)


def test_float8_can_be_dropped():
    extra = {"s": scalar(0.5), "e": np.zeros((), ml_dtypes.float8_e4m3fn)}
    model = model_of("q = QuantizeLinear(x, s, e) y = DequantizeLinear(q, s, e)", **extra)
    rewritten, _ = run_pass(OpenQuantisation("drop"), model)
    assert operators(run_pass(RemoveIdentity(), rewritten)[0]) == ["Identity"]
