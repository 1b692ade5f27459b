import numpy as np
import pytest

from spikec.passes import RemoveIdentity
from tests.models.graphs import keeps_outputs, normal, operators, parse, reasons, run_pass, scalar

X = {"x": normal(2, 3)}


@pytest.mark.parametrize(
    "wire",
    ["b = Identity(a)", "b = Dropout(a)", "b = Dropout(a, ratio)", "b = Dropout(a, ratio, no)", "b = Cast<to = 1>(a)"],
)
def test_a_wire_is_removed(wire):
    model = parse(
        f"g (float[N, 3] x) => (float[N, 3] y) {{ a = Relu(x) [wire] {wire} y = Neg(b) }}",
        ratio=scalar(0.5),
        no=np.array(False),
    )
    removed, record = keeps_outputs(RemoveIdentity(), model, X)
    assert operators(removed) == ["Neg", "Relu"]
    assert record.rewrote == ["wire"]


def test_a_chain_of_wires_with_several_consumers():
    model = parse(
        "g (float[N, 3] x) => (float[N, 3] y) { a = Identity(x) b = Identity(a) c = Add(a, b) y = Mul(b, c) }"
    )
    removed, record = keeps_outputs(RemoveIdentity(), model, X)
    assert operators(removed) == ["Add", "Mul"]
    assert len(record.rewrote) == 2


def test_a_cast_to_another_type_stays():
    model = parse("g (float[N, 3] x) => (float[N, 3] y) { a = Cast<to = 6>(x) b = Cast<to = 1>(a) y = Neg(b) }")
    removed, record = keeps_outputs(RemoveIdentity(), model, X)
    assert operators(removed) == ["Cast", "Cast", "Neg"]
    assert record.rewrote == []


def test_a_cast_of_a_tensor_of_unknown_type_stays():
    model = parse("g (float[N, 3] x) => (float[N, 3] y) { a = Neg(x) b = Cast<to = 1>(a) y = Neg(b) }")
    del model.graph.value_info[:]
    removed, record = keeps_outputs(RemoveIdentity(), model, X)
    assert operators(removed) == ["Cast", "Neg", "Neg"]
    assert record.rewrote == []


def test_the_name_of_an_output_stays():
    model = parse("g (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) [last] y = Identity(a) }")
    removed, record = keeps_outputs(RemoveIdentity(), model, X)
    assert operators(removed) == ["Identity", "Relu"]
    assert reasons(record) == {"last": "its output is an output of the graph, whose name must stay"}


def test_a_dropout_whose_mask_is_used_stays():
    text = """g (float[N, 3] x) => (float[N, 3] y) {
      [drop] a, mask = Dropout(x) m = Cast<to = 1>(mask) y = Mul(a, m)
    }"""
    removed, record = keeps_outputs(RemoveIdentity(), parse(text), X)
    assert "Dropout" in operators(removed)
    assert reasons(record) == {"drop": "the mask of this Dropout is used"}


def test_a_dropout_whose_mask_is_an_output_stays():
    text = "g (float[N, 3] x) => (float[N, 3] y, bool[N, 3] mask) { [drop] a, mask = Dropout(x) y = Neg(a) }"
    _, record = keeps_outputs(RemoveIdentity(), parse(text), X)
    assert reasons(record) == {"drop": "the mask of this Dropout is used"}


@pytest.mark.parametrize("unused", ["a, mask = Dropout(x)", "a = Dropout(x)"])
def test_a_dropout_whose_mask_nobody_takes_is_removed(unused):
    removed, _ = keeps_outputs(
        RemoveIdentity(), parse(f"g (float[N, 3] x) => (float[N, 3] y) {{ {unused} y = Neg(a) }}"), X
    )
    assert operators(removed) == ["Neg"]


def test_a_dropout_that_is_training_stays():
    text = "g (float[N, 3] x) => (float[N, 3] y) { [drop] a = Dropout(x, ratio, yes) y = Neg(a) }"
    removed, record = run_pass(RemoveIdentity(), parse(text, ratio=scalar(0.5), yes=np.array(True)))
    assert "Dropout" in operators(removed)
    assert reasons(record) == {"drop": "this Dropout is in training mode: it draws random numbers"}
