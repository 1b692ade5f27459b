import numpy as np
import onnx
import pytest

from spikec.passes import FoldConstants
from spikec.passes import fold_constants as module
from tests.models.graphs import initializer, ints, keeps_outputs, normal, operators, parse, reasons, run_pass, scalar


def test_a_chain_of_constants_becomes_one():
    model = parse(
        "g (float[N, 3] x) => (float[N, 3] y) { a = Mul(u, v) b = Sqrt(a) y = Add(x, b) }",
        u=scalar(2),
        v=normal(3) ** 2,
    )
    folded, record = keeps_outputs(FoldConstants(), model, {"x": normal(2, 3)})
    assert operators(folded) == ["Add"]
    assert len(record.rewrote) == 2


def test_pads_built_from_constant_of_shape():
    """What torch's exporters write for F.pad: zeros for the leading axes, joined with the pads, transposed."""
    text = """g (float[N, 2, 4, 4] x) => (float[N, 2, 6, 8] y) {
      zeros = ConstantOfShape<value = int64[1] {0}>(four)
      all = Concat<axis = 0>(given, zeros)
      pairs = Reshape(all, by_two)
      back = Slice(pairs, minus_one, least, axis, minus_one)
      turned = Transpose<perm = [1, 0]>(back)
      pads = Reshape(turned, minus_one)
      y = Pad(x, pads)
    }"""
    model = parse(
        text,
        four=ints(4),
        given=ints(1, 3, 1, 1),
        by_two=ints(-1, 2),
        minus_one=ints(-1),
        axis=ints(0),
        least=np.array([np.iinfo(np.int64).min]),
    )
    folded, _ = keeps_outputs(FoldConstants(), model, {"x": normal(3, 2, 4, 4)})
    assert operators(folded) == ["Pad"]
    np.testing.assert_array_equal(initializer(folded, "pads"), [0, 0, 1, 1, 0, 0, 1, 3])


def test_shape_arithmetic_of_a_constant_is_folded_and_that_of_the_input_stays():
    text = """g (float[N, 4] x) => (float[A, B] y) {
      known = Shape(w) width = Gather<axis = 0>(known, zero) rows = Shape<start = 0, end = 1>(x)
      shape = Concat<axis = 0>(rows, width) y = Reshape(x, shape)
    }"""
    model = parse(text, w=normal(4, 2), zero=ints(0))
    folded, record = keeps_outputs(FoldConstants(), model, {"x": normal(3, 4)})
    assert operators(folded) == ["Concat", "Reshape", "Shape"]
    assert record.rewrote == ["known", "width"]


def test_a_node_with_several_outputs():
    model = parse(
        "g (float[N, 2] x) => (float[N, 2] y) { a, b = Split<num_outputs = 2>(w) c = Add(x, a) y = Mul(c, b) }",
        w=normal(4),
    )
    folded, _ = keeps_outputs(FoldConstants(), model, {"x": normal(2, 2)})
    assert operators(folded) == ["Add", "Mul"]


def test_an_optional_output_that_nobody_takes():
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      n, , deviation = LayerNormalization(w, w) a = Mul(n, deviation) y = Add(x, a)
    }"""
    folded, _ = keeps_outputs(FoldConstants(), parse(text, w=normal(4)), {"x": normal(2, 4)})
    assert operators(folded) == ["Add"]


def test_outputs_of_the_graph_keep_their_node():
    model = parse("g (float[N] x) => (float[N] y, float[3] z) { y = Neg(x) z = Neg(w) }", w=normal(3))
    folded, record = keeps_outputs(FoldConstants(), model, {"x": normal(2)})
    assert operators(folded) == ["Neg", "Neg"]
    assert record.rewrote == []


def test_random_numbers_are_drawn_at_run_time():
    text = """g (float[N, 3] x) => (float[N, 3] y) {
      r = RandomNormal<shape = [3], seed = 1.0>() s = Mul(r, w) y = Add(x, s)
    }"""
    folded, record = run_pass(FoldConstants(), parse(text, w=normal(3)))
    assert operators(folded) == ["Add", "Mul", "RandomNormal"]
    assert record.rewrote == []


def test_control_flow_stays():
    branch = "then_branch = t () => (float[3] a) { a = Neg(w) }, else_branch = e () => (float[3] b) { b = Abs(w) }"
    model = parse(
        f"g (float[N, 3] x) => (float[N, 3] y) {{ c = If<{branch}>(yes) y = Add(x, c) }}",
        yes=np.array(True),
        w=normal(3),
    )
    folded, _ = keeps_outputs(FoldConstants(), model, {"x": normal(2, 3)})
    assert "If" in operators(folded)


def test_a_function_call_stays():
    text = """<ir_version: 9, opset_import: ["": 20, "local": 1]>
    g (float[N, 3] x) => (float[N, 3] y) <float[3] w = {1, 2, 3}> { c = local.twice(w) y = Add(x, c) }
    <domain: "local", opset_import: ["": 20]> twice (a) => (b) { b = Add(a, a) }"""
    folded, record = keeps_outputs(FoldConstants(), onnx.parser.parse_model(text), {"x": normal(2, 3)})
    assert "local::twice" in operators(folded)
    assert record.rewrote == []


def test_a_constant_too_large_to_store_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(module, "_LARGEST", 5)
    text = """g (float[N, 3] x) => (float[N, 3] y) {
      [big] s = ConstantOfShape(shape) t = ReduceSum<keepdims = 0>(s) y = Add(x, t)
    }"""
    model = parse(text, shape=ints(2, 3))
    folded, record = keeps_outputs(FoldConstants(), model, {"x": normal(2, 3)})
    assert reasons(record) == {"big": "its value has more than 5 elements"}
    assert "ConstantOfShape" in operators(folded)


def test_a_sequence_of_constants_is_refused_with_the_reason():
    text = """g (float[N, 2] x) => (float[N, 2] y) {
      [parts] s = SplitToSequence<axis = 0>(w, two) a = SequenceAt(s, first) y = Add(x, a)
    }"""
    model = parse(text, w=normal(4), two=ints(2, 2), first=np.array(1, np.int64))
    folded, record = keeps_outputs(FoldConstants(), model, {"x": normal(2, 2)})
    assert reasons(record) == {"parts": "its value is no tensor"}
    assert "SplitToSequence" in operators(folded)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_types_are_kept(dtype):
    kind = {np.float32: "float", np.float64: "double", np.int64: "int64"}[dtype]
    model = parse(
        f"g ({kind}[N, 2] x) => ({kind}[N, 2] y) {{ s = Add(w, w) y = Mul(x, s) }}", w=np.array([1, 2], dtype)
    )
    folded, _ = keeps_outputs(FoldConstants(), model, {"x": np.array([[3, 4]], dtype)})
    assert operators(folded) == ["Mul"]


def test_what_cannot_be_computed_is_left_to_the_runtime_to_refuse():
    text = "g (float[N, 4] x) => (float[N, 4] y) { s = Slice(flat, one, two, one) y = Add(x, s) }"
    model = parse(text, flat=normal(4), one=np.array([1]), two=np.array([2]))
    _, record = run_pass(FoldConstants(), model)
    assert [skip.reason.startswith("it cannot be computed") for skip in record.skipped] == [True]


@pytest.mark.parametrize(("room", "stays"), [(79, True), (80, False)])
def test_values_that_repeat_others_are_stored_while_there_is_room(monkeypatch, room, stays):
    """24 bytes are stored, in w and shape; the table has 80, 56 more than those it is read from."""
    monkeypatch.setattr(module, "_ROOM", room)
    monkeypatch.setattr(module, "_SMALL", 10)
    text = "g (float[N, 2] x) => (float[M, 2] y) { [table] t = Expand(w, shape) y = Add(x, t) }"
    model = parse(text, w=normal(2), shape=ints(10, 2))
    folded, record = keeps_outputs(FoldConstants(), model, {"x": normal(1, 2)})
    assert ("Expand" in operators(folded)) == stays
    assert ("table" in reasons(record)) == stays
    if stays:
        assert "repeats what it reads, 56 bytes more" in reasons(record)["table"]


def test_what_is_new_is_stored_without_room_and_so_is_what_is_small(monkeypatch):
    monkeypatch.setattr(module, "_ROOM", 0)
    text = "g (float[N, 2] x) => (float[M, 2] y) { t = Expand(w, shape) u = Exp(w) v = Mul(t, u) y = Add(x, v) }"
    model = parse(text, w=normal(2), shape=ints(10, 2))
    folded, _ = keeps_outputs(FoldConstants(), model, {"x": normal(1, 2)})
    assert operators(folded) == ["Add"]
