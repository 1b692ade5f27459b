import onnx
import onnx_graphsurgeon as gs
import pytest

from spikec.passes.operators import (
    CONTROL_FLOW,
    FUNCTION_DOMAIN,
    READOUT_ONLY,
    WEIGHTED,
    affine_operators,
    is_affine,
    is_elementwise,
    is_inside_only,
    neuron_kind,
    neuron_operators,
)

EVERY = [*affine_operators(), *neuron_operators(), *READOUT_ONLY, *CONTROL_FLOW, *WEIGHTED]


@pytest.mark.parametrize("op", sorted(set(EVERY)))
def test_the_table_names_operators_of_onnx_that_are_not_withdrawn(op):
    assert onnx.defs.has(op)
    assert not onnx.defs.get_schema(op).deprecated


@pytest.mark.parametrize("op", affine_operators())
def test_every_affine_operator_is_affine_in_some_input(op):
    assert is_affine(op, {0}) or is_affine(op, {1})


@pytest.mark.parametrize("op", sorted(READOUT_ONLY | CONTROL_FLOW))
def test_selections_and_control_flow_are_neither_affine_nor_a_neuron(op):
    assert not is_affine(op, {0})
    assert neuron_kind(gs.Node(op), {0}) is None


@pytest.mark.parametrize("op", ["Equal", "Greater", "LessOrEqual", "And", "Not", "Xor", "IsNaN", "Where", "Cast"])
def test_what_compares_or_chooses_is_part_of_a_chain_and_no_neuron_by_itself(op):
    assert is_elementwise(op, "") and is_inside_only(op, "") and not is_inside_only(op, FUNCTION_DOMAIN)
    assert neuron_kind(gs.Node(op), {0}) is None and neuron_kind(gs.Node(op), {0, 1}) is None
    assert onnx.defs.has(op)


@pytest.mark.parametrize("op", neuron_operators())
def test_every_neuron_operator_has_a_kind_where_it_is_not_affine(op):
    values = {0} if not is_affine(op, {0}) and neuron_kind(gs.Node(op), {0}) else {0, 1}
    assert not is_affine(op, values)
    assert neuron_kind(gs.Node(op), values) in ("unary", "binary", "row", "window", "product")


@pytest.mark.parametrize(
    ("op", "values", "affine"),
    [
        ("Gemm", {0}, True),
        ("Gemm", {1}, True),
        ("Gemm", {2}, True),
        ("Gemm", {0, 2}, True),
        ("Gemm", {1, 2}, True),
        ("Gemm", {0, 1}, False),
        ("Gemm", {0, 1, 2}, False),
        ("Where", {1}, True),
        ("Where", {1, 2}, True),
        ("Where", {0, 1}, False),
        ("Add", {0, 1}, True),
        ("Sub", {1}, True),
        ("Concat", {0, 2, 5}, True),
        ("Mul", {0}, True),
        ("Mul", {1}, True),
        ("Mul", {0, 1}, False),
        ("MatMul", {1}, True),
        ("Einsum", {0, 1}, False),
        ("Div", {0}, True),
        ("Div", {1}, False),
        ("Div", {0, 1}, False),
        ("Conv", {0}, True),
        ("Conv", {0, 1}, False),
        ("Conv", {1}, False),
        ("Reshape", {0, 1}, False),
        ("Relu", {0}, False),
        ("Softmax", {0}, False),
        ("NoSuchOperator", {0}, False),
    ],
)
def test_affinity_depends_on_the_inputs_that_carry_values(op, values, affine):
    assert is_affine(op, values) is affine


@pytest.mark.parametrize(
    ("op", "values", "kind"),
    [
        ("Relu", {0}, "unary"),
        ("Div", {1}, "unary"),
        ("Mul", {0, 1}, "binary"),
        ("Max", {0, 1, 2}, "many"),
        ("MaxPool", {0}, "window"),
        ("LayerNormalization", {0}, "row"),
        ("Softmax", {0}, "row"),
        ("MatMul", {0, 1}, "product"),
        ("Gemm", {0, 1, 2}, "product"),
        ("MatMul", {0}, None),
        ("Conv", {1}, None),
        ("TopK", {0}, None),
        ("NoSuchOperator", {0}, None),
    ],
)
def test_kinds(op, values, kind):
    assert neuron_kind(gs.Node(op), values) == kind


def test_operators_of_other_domains_are_no_elementwise_operators_but_for_fused_functions():
    assert is_elementwise("Relu", "") and is_elementwise("Relu", None) and is_elementwise("Relu", "ai.onnx")
    assert not is_elementwise("Relu", "com.microsoft")
    assert is_elementwise("Sigmoid_Mul_0123abcd", FUNCTION_DOMAIN)
    assert neuron_kind(gs.Node("Softmax", domain="com.microsoft"), {0}) is None
