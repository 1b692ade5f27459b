import numpy as np
import onnx
import pytest

from spikec.onnx_session import run_model
from spikec.passes import UnifyPrecision
from tests.models.graphs import initializer, normal, operators, parse, run_pass, same_outputs

FLOAT = onnx.TensorProto.FLOAT
WIDTHS = [("float16", np.float16), ("double", np.float64)]


def inner_types(model):
    """Element types of all tensors that are neither inputs nor outputs of the graph."""
    graph = model.graph
    noted = {info.type.tensor_type.elem_type for info in graph.value_info}
    return noted | {tensor.data_type for tensor in graph.initializer}


def dense(kind, dtype):
    text = f"g ({kind}[N, 4] x) => ({kind}[N, 2] y) {{ a = MatMul(x, w) b = Add(a, c) y = Relu(b) }}"
    return parse(text, w=normal(4, 2).astype(dtype), c=normal(2).astype(dtype))


@pytest.mark.parametrize(("kind", "dtype"), WIDTHS)
def test_types_at_the_border_stay_and_all_inside_is_float32(kind, dtype):
    model = dense(kind, dtype)
    unified, record = run_pass(UnifyPrecision(), model)
    same_outputs(model, unified, {"x": normal(3, 4).astype(dtype)}, tolerance=1e-2 if kind == "float16" else 1e-6)
    assert inner_types(unified) == {FLOAT}
    assert operators(unified) == ["Add", "Cast", "Cast", "MatMul", "Relu"]
    assert record.rewrote == ["w", "c", "x", "y"]


def test_bfloat16():
    text = "g (bfloat16[N, 4] x) => (bfloat16[N, 2] y) { a = MatMul(x, w) y = Cast<to = 16>(a) }"
    model = parse(text)
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.BFLOAT16, [4, 2], np.arange(8.0) / 4)
    model.graph.initializer.append(weight)
    unified, _ = run_pass(UnifyPrecision(), model)
    np.testing.assert_array_equal(initializer(unified, "w"), (np.arange(8.0) / 4).reshape(4, 2))
    assert {info.type.tensor_type.elem_type for info in [*unified.graph.input, *unified.graph.output]} == {16}
    assert inner_types(unified) == {FLOAT}


def test_a_float32_graph_is_returned_as_it_is():
    model = dense("float", np.float32)
    unified, record = run_pass(UnifyPrecision(), model)
    assert operators(unified) == operators(model)
    assert record.rewrote == []


def test_mixed_precision_loses_its_inner_casts():
    text = """g (float[N, 4] x) => (float[N, 2] y) {
      h = Cast<to = 10>(x) a = MatMul(h, w) d = Cast<to = 11>(a) b = Mul(d, c) y = Cast<to = 1>(b)
    }"""
    model = parse(text, w=normal(4, 2).astype(np.float16), c=normal(2).astype(np.float64))
    unified, _ = run_pass(UnifyPrecision(), model)
    same_outputs(model, unified, {"x": normal(3, 4)}, tolerance=1e-2)
    assert inner_types(unified) == {FLOAT}
    casts = [node for node in unified.graph.node if node.op_type == "Cast"]
    assert {node.attribute[0].i for node in casts} == {FLOAT}


def test_inputs_and_outputs_of_different_precision():
    text = """g (float16[N, 4] left, double[N, 4] right, int64[N, 4] count)
      => (double[N, 4] y, float16[N, 4] z, int64[N, 4] n) {
      a = Cast<to = 11>(left) b = Cast<to = 11>(count) c = Mul(a, right) y = Add(c, b)
      d = Cast<to = 10>(y) z = Relu(d) n = Neg(count)
    }"""
    feeds = {
        "left": normal(2, 4).astype(np.float16),
        "right": normal(2, 4).astype(np.float64),
        "count": np.ones((2, 4), np.int64),
    }
    model = parse(text)
    unified, _ = run_pass(UnifyPrecision(), model)
    same_outputs(model, unified, feeds, tolerance=1e-3)
    assert [run_model(unified, feeds)[name].dtype for name in "yzn"] == [np.float64, np.float16, np.int64]


def test_an_output_that_is_read_inside_too():
    text = "g (float16[N, 4] x) => (float16[N, 4] y, float16[N, 4] z) { y = Relu(x) z = Neg(y) }"
    model = parse(text)
    unified, _ = run_pass(UnifyPrecision(), model)
    same_outputs(model, unified, {"x": normal(2, 4).astype(np.float16)}, tolerance=1e-3)


def test_a_constant_output_keeps_its_type():
    model = parse(
        "g (float16[N, 4] x) => (float16[N, 4] y, float16[4] z) { y = Add(x, w) z = Neg(w) }",
        w=normal(4).astype(np.float16),
    )
    unified, _ = run_pass(UnifyPrecision(), model)
    same_outputs(model, unified, {"x": normal(2, 4).astype(np.float16)}, tolerance=1e-3)


@pytest.mark.parametrize(
    "nodes",
    [
        "s = Shape(x) z = ConstantOfShape<value = float16[1] {14336}>(s) y = Add(x, z)",
        "m = EyeLike<dtype = 10>(x) y = Add(x, m)",
        "m = CastLike(i, x) y = Add(x, m)",
        # the text form writes half precision in bits: 14336 is 0.5, 16384 is 2.0
        "c = Constant<value = float16 {16384}>() y = Mul(x, c)",
        "y = LayerNormalization(x, w)",
        "y = Clip(x, low, high)",
    ],
)
def test_types_written_in_attributes(nodes):
    model = parse(
        f"g (float16[N, 4] x) => (float16[N, 4] y) {{ {nodes} }}",
        w=np.ones(4, np.float16),
        i=np.array(2),
        low=np.array(-0.5, np.float16),
        high=np.array(0.5, np.float16),
    )
    unified, _ = run_pass(UnifyPrecision(), model)
    same_outputs(model, unified, {"x": normal(4, 4).astype(np.float16)}, tolerance=1e-2)


def test_integers_are_left_alone():
    model = parse("g (float16[N, 4] x) => (float16[N, 2] y) { y = Gather<axis = 1>(x, i) }", i=np.array([0, 3]))
    unified, _ = run_pass(UnifyPrecision(), model)
    assert initializer(unified, "i").dtype == np.int64
    same_outputs(model, unified, {"x": normal(2, 4).astype(np.float16)})
