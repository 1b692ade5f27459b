"""Every operator of the table that can become a neuron does, in every form of the artifact."""

import onnx
import pytest

import spikec
from spikec.equivalence import relative_distance
from spikec.errors import ModelError
from spikec.onnx_session import run_model
from spikec.passes.operators import is_elementwise, neuron_operators
from spikec.passes.place_neurons import STRICT_KINDS
from tests.models.forms import FORMS, run_form
from tests.models.graphs import ints, normal, parse, scalar, with_ranks

SHAPE = (4, 6, 6)
S4, S6 = normal(4, seed=1) + 1, normal(6, seed=2) + 1

# a call for each operator that needs more than one tensor or an attribute; p is positive, n lies in (-1, 1)
CALLS = {
    "Acosh": "Acosh(q)",
    "Asin": "Asin(n)",
    "Acos": "Acos(n)",
    "Atanh": "Atanh(n)",
    "Log": "Log(p)",
    "Sqrt": "Sqrt(p)",
    "Reciprocal": "Reciprocal(p)",
    "Tan": "Tan(n)",
    "PRelu": "PRelu(b, slope)",
    "Clip": "Clip(b, low, high)",
    "Pow": "Pow(p, b)",
    "Max": "Max(b, n)",
    "Min": "Min(b, n)",
    "Mul": "Mul(b, n)",
    "Div": "Div(b, p)",
    "MaxPool": "MaxPool<kernel_shape = [2, 2]>(b)",
    "LpPool": "LpPool<kernel_shape = [2, 2]>(p)",
    "LayerNormalization": "LayerNormalization(b, s6)",
    "RMSNormalization": "RMSNormalization(b, s6)",
    "GroupNormalization": "GroupNormalization<num_groups = 2>(b, s4, s4)",
    "InstanceNormalization": "InstanceNormalization(b, s4, s4)",
    "LRN": "LRN<size = 3>(b)",
    "ReduceMax": "ReduceMax(b, axes)",
    "ReduceMin": "ReduceMin(b, axes)",
    "ReduceL1": "ReduceL1(b, axes)",
    "ReduceL2": "ReduceL2(b, axes)",
    "ReduceLogSum": "ReduceLogSum(p, axes)",
    "ReduceLogSumExp": "ReduceLogSumExp(b, axes)",
    "ReduceSumSquare": "ReduceSumSquare(b, axes)",
    "ReduceProd": "ReduceProd(p, axes)",
    "Mod": "Mod<fmod = 1>(b, half)",
    "MatMul": "MatMul(b, n)",
    "Gemm": "Gemm(f, f2)",
    "Conv": "Conv(b, k)",
    "Einsum": 'Einsum<equation = "nchw,nchv->ncwv">(b, n)',
}
CONSTANTS = {
    "s4": S4,
    "slope": S4.reshape(4, 1, 1) / 3,
    "s6": S6,
    "low": scalar(-0.3),
    "high": scalar(0.5),
    "axes": ints(-1),
    "k1": normal(4, 4, 1, 1) / 2,
    "two": scalar(2),
    "half": scalar(0.45),
    "least": scalar(0.3),
    "unit": scalar(1),
    "batch": ints(0),
}
NEEDS = {"p": "e0 = Exp(n) p = Add(e0, least)", "q": "q = Add(n, two)"}
OPSET = {"GroupNormalization": 21, "RMSNormalization": 23, "Swish": 24}
JUMPS = ("Sign", "Floor", "Ceil", "Round", "ThresholdedRelu", "Mod")  # an estimate a little off is on the other side


def model_of(op):
    """x -> tanh -> Conv -> b; n and p are made from it; the operator; weights behind it (else it were a readout)."""
    call = CALLS.get(op, f"{op}(b)")
    arguments = call[call.rindex("(") + 1 : -1].split(", ")
    nodes = ["f0 = Tanh(x)", "b = Conv(f0, k1)", "n0 = Tanh(b)", "n = Mul(n0, half)"]
    nodes += [NEEDS[name] for name in arguments if name in NEEDS]
    if op == "Gemm":
        nodes += ["f = Flatten(b)", "g = Flatten(n)", "f2 = Transpose(g)"]
    if op == "Conv":
        nodes.append("k = ReduceMean(n, batch)")
    nodes += [f"z = {call}", 'y = Einsum<equation = "...,->...">(z, unit)']
    text = f"g (float[N, 4, 6, 6] x) => (float[] y) {{ {' '.join(nodes)} }}"
    return parse(text, OPSET.get(op, 20), **CONSTANTS)


def test_calls_are_for_operators_of_the_table():
    assert set(CALLS) <= set(neuron_operators())


def test_form_step_says_where_onnx_does_not_know_the_rank():
    feeds = {"x": normal(3, *SHAPE, seed=7)}
    model = with_ranks(model_of("GroupNormalization"), feeds)
    with pytest.raises(ModelError, match="the rank of 'z' is not known, which form step needs; use form loop"):
        spikec.compile(model, calibration=feeds, form="step")


CASES = [(op, form) for op in neuron_operators() for form in FORMS if (op, form) != ("GroupNormalization", "step")]


@pytest.mark.parametrize(("op", "form"), CASES)
def test_it_becomes_a_neuron(op, form):
    feeds = {"x": normal(3, *SHAPE, seed=7)}
    model = with_ranks(model_of(op), feeds)
    artifact = spikec.compile(model, calibration=feeds, steps=48, form=form)
    onnx.checker.check_model(artifact.model, full_check=True)
    kinds = {row["kind"] for row in artifact.manifest["neurons"] if op in row["function"].split("_")}
    assert kinds and (kinds <= {"unary", "binary"}) is is_elementwise(op, "")
    distance = relative_distance(run_form(artifact, feeds)["y"], run_model(model, feeds)["y"])
    assert distance < (0.5 if op in JUMPS else 0.1)


@pytest.mark.parametrize("op", [op for op in neuron_operators() if not is_elementwise(op, "")])
def test_granularity_strict_opens_it(op):
    feeds = {"x": normal(3, *SHAPE, seed=7)}
    model = with_ranks(model_of(op), feeds)
    prepared = spikec.prepare(model, calibration=feeds, granularity="strict", steps=16)
    artifact, longer = prepared.compile(), prepared.compile(steps=64)
    assert max(artifact.levels.distances.values()) <= 1e-4
    assert {row["kind"] for row in artifact.manifest["neurons"]} <= STRICT_KINDS
    distance = relative_distance(run_model(longer.model, feeds)["y"], run_model(model, feeds)["y"])
    assert distance < 0.05
    assert not spikec.plan(model, granularity="strict").unsupported
