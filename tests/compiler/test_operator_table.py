"""docs/operators.md: whole, current, and true."""

from pathlib import Path

import onnx
import pytest

import spikec
from spikec.operator_table import main, markdown, row_of, schemas
from spikec.passes.operators import affine_operators, neuron_operators
from spikec.passes.place_neurons import STRICT_KINDS
from tests.compiler.test_neuron_operators import CASES
from tests.models.graphs import normal, parse, scalar, with_ranks

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"
NO_FORM = "refused: operator has no spiking form yet"
SELECTION = "refused: a selection inside the network"
NOT_KNOWN = "refused: control flow that depends on values"

# operator -> its cells but for the opset, which may rise
SPOT_CHECKS = {
    "Relu": ("", "unary", "as it is", ""),
    "Mul": ("A or B", "binary", "as it is", ""),
    "Gemm": ("A and C, or B and C", "product", "as it is", ""),
    "Where": ("X and Y", "", "", "inside an elementwise neuron"),
    "Greater": ("", "", "", "inside an elementwise neuron"),
    "Cast": ("input (to float32)", "", "", "inside an elementwise neuron; computed at compile time, or a wire"),
    "Max": ("", "unary, binary, many", "as it is; many: opened", ""),
    "Softmax": ("", "row", "opened", ""),
    "MaxPool": ("", "window", "opened", ""),
    "Conv": ("X", "product", "as it is", "refused where values reach W or B alone"),
    "TopK": ("", "", "", SELECTION),
    "QuantizeLinear": ("", "", "", "unary neuron"),
    "QLinearConv": ("", "", "", "opened into DequantizeLinear, Conv and QuantizeLinear"),
    "GRU": ("", "", "", NO_FORM),
    "Loop": ("", "", "", NOT_KNOWN),
    "Shape": ("", "", "", "depends on shapes only"),
    "Dropout": ("", "", "", "computed at compile time, or a wire"),
    "SequenceAt": ("", "", "", "refused: its input is of sequence_type, not a tensor"),
    "Upsample": ("", "", "", "refused: withdrawn from ONNX in opset 10"),
    "BitwiseAnd": ("", "", "", "computed once from integer inputs, before the first step (backend onnxruntime only)"),
}
ROWS = {schema.name: row_of(schema) for schema in schemas()}


@pytest.mark.skipif(f"onnx {onnx.__version__}," not in DOCUMENT.read_text(), reason="made with another version of onnx")
def test_the_document_is_what_the_command_prints(capsys):
    main([])
    assert capsys.readouterr().out == DOCUMENT.read_text()


def test_the_command_writes_a_file(tmp_path):
    main(["--output", str(tmp_path / "operators.md")])
    assert (tmp_path / "operators.md").read_text() == markdown()


def test_every_operator_of_onnx_has_one_line():
    lines = [line.split(" | ")[0].removeprefix("| ") for line in markdown().splitlines() if line.startswith("| ")]
    names = {name for domain, name in _every_operator() if domain == ""}
    assert lines[2:] == sorted(names)


def _every_operator():
    return {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}


@pytest.mark.parametrize("op", SPOT_CHECKS)
def test_cells(op):
    row = ROWS[op]
    assert (row.linear, row.neuron, row.strict, row.otherwise) == SPOT_CHECKS[op]


def test_something_is_said_of_every_operator():
    assert all(row.linear or row.neuron or row.otherwise for row in ROWS.values())


def test_the_lines_called_linear_or_neuron_are_the_compilers_own():
    assert sorted(op for op, row in ROWS.items() if row.linear) == affine_operators()
    known = {op for op, row in ROWS.items() if row.neuron}
    assert known == set(neuron_operators())
    assert known == {op for op, _ in CASES}  # of which a network is compiled for each


def test_granularity_strict_has_or_opens_every_neuron():
    neurons = [row for row in ROWS.values() if row.neuron]
    assert {row.strict for row in neurons} == {"as it is", "opened", "as it is; many: opened"}
    for row in neurons:
        assert (row.strict == "as it is") is (set(row.neuron.split(", ")) <= STRICT_KINDS)


@pytest.mark.parametrize("call", ["Hardmax(b)", "Det(b)"])
def test_what_is_refused_inside_a_network_is_a_readout_behind_it(call):
    inside = _network(call, 'y = Einsum<equation = "...,->...">(z, unit)')
    refusals = [node.detail.split(";")[0] for node in spikec.plan(inside).nodes if node.fate == "unsupported"]
    row = ROWS[call.split("(")[0].split("<")[0]]
    assert [f"refused: {reason}" for reason in refusals] == [row.otherwise]
    assert "readout" in [node.fate for node in spikec.plan(_network(call, "y = Abs(z)")).nodes]
    assert not spikec.plan(_network(call, "y = Abs(z)")).unsupported


def _network(call, last):
    text = f"g (float[N, 4, 4] x) => (float[] y) {{ h = Relu(x) b = MatMul(h, w) z = {call} {last} }}"
    return with_ranks(parse(text, w=normal(4, 4), unit=scalar(1)), {"x": normal(2, 4, 4)})
