"""Models that are whole, and cannot be converted: the message names the node and the way out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.models import tiny

BRANCHES = (
    "then_branch = yes () => (float[N,6] t) { t = Relu(a) }, else_branch = no () => (float[N,6] e) { e = Neg(a) }"
)
BODY = "body = again (int64 i, bool c, float[N,6] u) => (bool d, float[N,6] v) { d = Identity(c) v = Relu(u) }"
STEP = (
    "num_scan_inputs = 1, body = walk (float[6] u, float[6] w) => (float[6] v, float[6] z) { v = Neg(u) z = Relu(w) }"
)
EXTRA = {
    "zero": np.zeros((), np.float32),
    "one": np.ones((), np.float32),
    "count": np.array(3),
    "go": np.array(True),
    "wide": np.array([1, 6]),
    "six": np.array([6]),
    "tall": np.ones((5, 6), np.float32),
}
# what stands between two layers -> what the error names
MIDDLES = {
    "[odd] h = made.up.Odd(a)": ["'odd'", "Odd", "made.up", "standard operators"],
    "[odd] h = Odd(a)": ["odd", "Odd", "export it again"],
    f"[s] s = ReduceSum<keepdims = 0>(a) [c] c = Greater(s, zero) [fork] h = If(c)<{BRANCHES}>": [
        "'fork'",
        "If",
        "trace",
    ],
    f"[again] h = Loop(count, go, a)<{BODY}>": ["'again'", "Loop", "trace"],
    f"[walk] q, h = Scan<{STEP}>(b1, a)": ["'walk'", "Scan", "trace"],
    "[pick] i = ArgMax<axis = 1>(a) [cast] g = Cast<to = 1>(i) [grow] h = Expand(g, wide)": [
        "'pick'",
        "ArgMax",
        "last",
    ],
    "[best] h, i = TopK<axis = 1>(a, six)": ["'best'", "TopK", "last"],
    "[round] q, s, z = DynamicQuantizeLinear(a) [back] h = DequantizeLinear(q, s, z)": [
        "'round'",
        "DynamicQuantizeLinear",
        "quantize_static",
    ],
    "[eight] q = QuantizeLinear(a, one) [twice] p = Add(q, q) [back] h = DequantizeLinear(p, one)": [
        "'twice'",
        "Add",
        "quantised integers",
        "QuantFormat.QDQ",
    ],
    "[noise] r = RandomNormalLike(a) [mix] h = Mul(r, a)": ["'noise'", "RandomNormalLike", "replace"],
    "[wrap] o = Optional(a) [open] h = OptionalGetElement(o)": ["'wrap'", "Optional", "tensor"],
    "[misfit] h = MatMul(a, tall)": ["misfit", "MatMul"],
    "[lost] h = Add(a, nowhere)": ["lost", "nowhere", "export it again"],
    "[setting] h = Softmax<odd = 7>(a)": ["setting", "odd", "export it again"],
    "[root] h = Log(a)": ["not finite", "scale"],
    "[e] e = Exp(a) [f] f = Exp(e) [g] g = Exp(f) [m] m = MatMul(g, w1) [h] h = Sigmoid(m)": [
        "'g'",
        "infinite",
        "scale",
    ],
}
NAMES = {middle: words[0].strip("'") for middle, words in MIDDLES.items()}


def _write(middle: str) -> None:
    tiny.save(tiny.between(middle, extra=EXTRA), Path("odd.onnx"))


@pytest.mark.parametrize("middle", MIDDLES, ids=NAMES.get)
def test_networks_that_cannot_be_converted(refused: Callable[..., None], middle: str) -> None:
    _write(middle)
    refused("compile odd.onnx -o out.onnx -T 4", 3, *MIDDLES[middle])


@pytest.mark.parametrize(
    "middle", [m for m in MIDDLES if NAMES[m] in ("pick", "best", "round", "twice", "noise")], ids=NAMES.get
)
def test_the_plan_names_what_stands_in_the_way(cli: Callable[..., object], middle: str) -> None:
    _write(middle)
    outcome = cli("plan odd.onnx --json")
    assert outcome.code == 3 and not outcome.json["convertible"]
    unsupported = [node["name"] for node in outcome.json["nodes"] if node["fate"] == "unsupported"]
    assert NAMES[middle] in unsupported
    assert f"unsupported: node '{NAMES[middle]}'" in cli("plan odd.onnx").out


@pytest.mark.parametrize(
    ("opset", "words"), [(7, ["opset 7", "13"]), (12, ["opset 12", "13"]), (99, ["opset 99", "20"])]
)
def test_opsets_too_old_and_too_new(refused: Callable[..., None], opset: int, words: list[str]) -> None:
    tiny.save(tiny.mlp(opset=opset), Path("odd.onnx"))
    refused("compile odd.onnx -o out.onnx", 3, *words, "export it again with opset_version=20")
    refused("plan odd.onnx", 3, *words)


@pytest.mark.parametrize("operator", ["Gelu", "Sigmoid"])
def test_integrate_and_fire_refuses_what_is_no_relu(refused: Callable[..., None], operator: str) -> None:
    tiny.save(tiny.between(f"[curve] h = {operator}(a)"), Path("odd.onnx"))
    refused("compile odd.onnx -o out.onnx --dynamics subgradient", 3, "'curve'", operator, "--dynamics signgd")


def test_integrate_and_fire_refuses_max_pooling(refused: Callable[..., None]) -> None:
    tiny.save(tiny.build(tiny.CNN.replace("AveragePool", "MaxPool")), Path("odd.onnx"))
    refused("compile odd.onnx -o out.onnx --dynamics subgradient", 3, "'pool'", "MaxPool", "average pooling")


def test_strict_neurons_hold_no_rows_of_unknown_size(refused: Callable[..., None]) -> None:
    tiny.save(tiny.between("[top] t = ReduceMax(a) h = Sub(a, t)"), Path("odd.onnx"))
    words = "'top'", "ReduceMax", "axis 0", "granularity composite"
    refused("compile odd.onnx -o out.onnx --granularity strict", 3, *words)


def _graph(nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> None:
    stored = [numpy_helper.from_array(np.ones(3, np.float32), "stored")]
    model = helper.make_model(
        helper.make_graph(nodes, "odd", inputs, outputs, stored),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    tiny.save(model, Path("odd.onnx"))


X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy")
NEGATE = helper.make_node("Neg", ["x"], ["y"])
EMPTY = {
    "no inputs": ([helper.make_node("Neg", ["stored"], ["y"])], [], [helper.make_tensor_value_info("y", 1, [3])]),
    "no outputs": ([NEGATE], [X], []),
    "no nodes": ([], [X], [X]),
}


@pytest.mark.parametrize("lacking", EMPTY)
@pytest.mark.parametrize("command", ["plan odd.onnx", "compile odd.onnx -o out.onnx"])
def test_networks_of_nothing(refused: Callable[..., None], lacking: str, command: str) -> None:
    _graph(*EMPTY[lacking])
    refused(command, 3, "odd.onnx", "nothing to convert")


def test_inputs_that_are_no_tensors(refused: Callable[..., None]) -> None:
    many = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["N", 3])
    _graph([helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)], [many], [Y])
    refused("compile odd.onnx -o out.onnx", 3, "'x'", "sequence", "plain tensors")


@pytest.mark.parametrize(
    ("kind", "dims", "words"),
    [
        (TensorProto.STRING, ["N", 3], ["'x'", "calibration data"]),
        (TensorProto.INT64, ["N", 3], ["'x'", "int64", "calibration data"]),
        (TensorProto.FLOAT, ["N", "width"], ["'x'", "unknown dimensions", "calibration data"]),
    ],
    ids=["text", "whole numbers", "open dimensions"],
)
def test_inputs_that_random_numbers_cannot_stand_for(
    refused: Callable[..., None], kind: int, dims: list[int | str], words: list[str]
) -> None:
    shapes = [helper.make_tensor_value_info(name, kind, dims) for name in "xy"]
    _graph([helper.make_node("Identity", ["x"], ["y"])], shapes[:1], shapes[1:])
    refused("compile odd.onnx -o out.onnx", 2, *words)
