"""Activations written with comparisons are one neuron each, and keep what they compute."""

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spikec
from spikec.equivalence import relative_distance
from spikec.errors import ModelError
from spikec.onnx_session import run_model
from spikec.runtime import Session
from tests.models.forms import FORMS, run_form
from tests.models.graphs import normal, parse, scalar
from tests.oracle import Oracle

WIDTH = 6
FEEDS = {"x": normal(16, 5, seed=1)}
CONSTANTS = {
    "u": normal(5, WIDTH) / 2,
    "t": normal(WIDTH, WIDTH, seed=2) / 2,
    "u2": normal(WIDTH, WIDTH, seed=6) / 2,
    "w": normal(WIDTH, 3, seed=3),
    "zero": scalar(0),
    "one": scalar(1),
    "low": scalar(-0.5),
    "high": scalar(0.8),
    "slope": scalar(0.3),
    "per_channel": normal(WIDTH, seed=4) / 4,
    "mask": normal(WIDTH, seed=5) > 0,
}
HEAD = "h = Tanh(x) a = MatMul(h, u) g = Sigmoid(a) b = MatMul(g, t)"  # of which a does not change with time
ELU = "e = Exp({0}) m = Sub(e, one)"
BETWEEN = "c = Greater({0}, low) d = Less({0}, high) i = And(c, d)"

# activations of {0}, as frameworks write them
UNARY = {
    "torch.where": f"c = Greater({{0}}, zero) {ELU} z = Where(c, {{0}}, m)",
    "leaky": "c = GreaterOrEqual({0}, zero) m = Mul({0}, slope) z = Where(c, {0}, m)",
    "masked_fill": "c = Less({0}, zero) z = Where(c, zero, {0})",
    "a choice as a factor": "c = Greater({0}, zero) f = Cast<to = 1>(c) z = Mul({0}, f)",
    "tf.where": (
        f"c = Less({{0}}, zero) n = Not(c) p = Cast<to = 1>(n) q = Cast<to = 1>(c) {ELU} "
        "v = Mul(p, {0}) s = Mul(q, m) z = Add(v, s)"
    ),
    "hard shrink": "c = Greater({0}, high) d = Less({0}, low) i = Or(c, d) z = Where(i, {0}, zero)",
    "soft shrink": (
        "c = Greater({0}, high) d = Less({0}, low) p = Sub({0}, high) q = Sub({0}, low) r = Where(d, q, zero) "
        "z = Where(c, p, r)"
    ),
    "clipped": "c = Greater({0}, zero) d = Less({0}, one) r = Where(d, {0}, one) z = Where(c, r, zero)",
    "a filled branch": "c = Greater({0}, zero) s = Shape({0}) o = ConstantOfShape(s) z = Where(c, {0}, o)",
    "between": f"{BETWEEN} q = Mul({{0}}, {{0}}) v = Abs({{0}}) z = Where(i, q, v)",
    "one or the other": f"{BETWEEN} n = Xor(i, c) v = Sin({{0}}) z = Where(n, v, {{0}})",
    "numbers are true": "k = Cast<to = 7>({0}) c = Cast<to = 9>(k) z = Where(c, {0}, slope)",
    "rounded, and equal": "r = Round({0}) c = Equal(r, zero) v = Neg({0}) z = Where(c, {0}, v)",
    "not a number": "v = Log({0}) c = IsNaN(v) z = Where(c, slope, {0})",
    "threshold": "c = LessOrEqual({0}, low) z = Where(c, high, {0})",
    "channels of their own": "c = Greater({0}, per_channel) v = Where(mask, {0}, zero) z = Where(c, v, per_channel)",
    "truncated": "v = Div({0}, slope) i = Cast<to = 6>(v) z = Cast<to = 1>(i)",
    "step": "c = Greater({0}, low) z = Cast<to = 1>(c)",
    "stairs": (
        "c = Greater({0}, low) d = Greater({0}, high) i = Cast<to = 7>(c) k = Cast<to = 7>(d) s = Add(i, k) "
        "z = Cast<to = 1>(s)"
    ),
}
JUMPS = {
    "numbers are true",
    "truncated",
    "step",
    "stairs",
    "between",
    "one or the other",
    "rounded, and equal",
    "threshold",
}
BINARY = {
    "the larger": "c = Greater({0}, {1}) z = Where(c, {0}, {1})",
    "gated": "c = Greater({1}, low) m = Mul({0}, slope) z = Where(c, {0}, m)",
    "as factors": "c = Less({1}, zero) f = Cast<to = 1>(c) v = Mul({0}, {1}) z = Mul(v, f)",
}


def model_of(nodes, value="b", other="a", kind="float"):
    body = f"{HEAD} {nodes.format(value, other)} y = MatMul(z, w)"
    return parse(f"g ({kind}[N, 5] x) => ({kind}[N, 3] y) {{ {body} }}", **CONSTANTS)


def neurons(artifact):
    """Kinds of the neurons behind the two of the head."""
    return [row["kind"] for row in artifact.manifest["neurons"]][2:]


@pytest.mark.parametrize("granularity", ["composite", "strict"])
@pytest.mark.parametrize("name", UNARY)
def test_an_activation_is_one_unary_neuron(name, granularity):
    model = model_of(UNARY[name])
    artifact = spikec.compile(model, calibration=FEEDS, steps=64, granularity=granularity)
    assert neurons(artifact) == ["unary"]
    assert max(artifact.levels.distances.values()) < 1e-6
    distance = relative_distance(run_model(artifact.model, FEEDS)["y"], run_model(model, FEEDS)["y"])
    assert distance < (0.5 if name in JUMPS else 0.05)
    assert not spikec.plan(model, granularity=granularity).unsupported


@pytest.mark.parametrize("name", BINARY)
def test_an_activation_of_two_tensors_is_one_binary_neuron(name):
    model = model_of(f"q = MatMul(g, u2) {BINARY[name]}", other="q")
    artifact = spikec.compile(model, calibration=FEEDS, steps=64)
    assert neurons(artifact) == ["binary"]
    distance = relative_distance(run_model(artifact.model, FEEDS)["y"], run_model(model, FEEDS)["y"])
    assert distance < 0.2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["torch.where", "tf.where", "channels of their own", "stairs"])
def test_every_form_of_the_artifact_runs_it(name, form):
    artifact = spikec.compile(model_of(UNARY[name]), calibration=FEEDS, steps=6, form=form)
    onnx.checker.check_model(artifact.model, full_check=True)
    loop = spikec.compile(model_of(UNARY[name]), calibration=FEEDS, steps=6)
    np.testing.assert_allclose(run_form(artifact, FEEDS)["y"], run_model(loop.model, FEEDS)["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("kind", ["float16", "double"])
def test_other_precisions_are_computed_in_float32(name, kind):
    other = {"float16": np.float16, "double": np.float64}[kind]
    number = {"float16": 10, "double": 11}[kind]
    nodes = UNARY[name].replace("to = 1>", f"to = {number}>")
    stored = {key: array.astype(other) if array.dtype == np.float32 else array for key, array in CONSTANTS.items()}
    if "ConstantOfShape" in nodes:
        nodes = nodes.replace("o = ConstantOfShape(s)", f"f = ConstantOfShape(s) o = Cast<to = {number}>(f)")
    text = f"g ({kind}[N, 5] x) => ({kind}[N, 3] y) {{ {HEAD} {nodes.format('b')} y = MatMul(z, w) }}"
    artifact = spikec.compile(parse(text, **stored), calibration={"x": FEEDS["x"].astype(other)}, steps=4)
    assert neurons(artifact) == ["unary"]


def test_a_choice_that_only_feeds_an_output_is_a_readout():
    outputs, nodes = f"bool[N, {WIDTH}] y, float[N, {WIDTH}] k", "y = Greater(b, zero) k = Where(y, b, low)"
    model = parse(f"g (float[N, 5] x) => ({outputs}) {{ {HEAD} {nodes} }}", **CONSTANTS)
    assert [node.op for node in spikec.plan(model).nodes if node.fate == "readout"] == ["Greater", "Where"]
    artifact = spikec.compile(model, calibration=FEEDS, steps=32)
    assert np.mean(run_model(artifact.model, FEEDS)["y"] == run_model(model, FEEDS)["y"]) > 0.95


def test_a_choice_that_is_an_output_and_decides_too():
    outputs, nodes = f"float[N, 3] y, bool[N, {WIDTH}] c", f"{UNARY['leaky'].format('b')} y = MatMul(z, w)"
    text = f"g (float[N, 5] x) => ({outputs}) {{ {HEAD} {nodes} }}"
    artifact = spikec.compile(parse(text, **CONSTANTS), calibration=FEEDS, steps=32)
    assert neurons(artifact) == ["unary"]
    assert run_model(artifact.model, FEEDS)["c"].dtype == bool


def test_a_choice_between_more_than_two_tensors_is_refused_by_name():
    nodes = "v = MatMul(g, u2) [here] c = Greater(b, zero) z = Where(c, a, v)"
    model = parse(f"g (float[N, 5] x) => (float[N, 3] y) {{ {HEAD} {nodes} y = MatMul(z, w) }}", **CONSTANTS)
    with pytest.raises(ModelError, match=r"node 'here' \(Greater\): booleans .* two tensors at most"):
        spikec.compile(model, calibration=FEEDS)
    assert spikec.plan(model).unsupported[0].name == "here"


COMPARISONS = [
    "Greater({0}, {k})",
    "Less({0}, {1})",
    "GreaterOrEqual({k}, {0})",
    "LessOrEqual({0}, {1})",
    "Cast<to = 9>({0})",
]
LOGIC = ["And({2}, {3})", "Or({2}, {3})", "Xor({2}, {3})", "Not({2})"]
NUMBERS = [
    "Where({2}, {0}, {1})",
    "Where({2}, {k}, {0})",
    "Mul({0}, {1})",
    "Add({0}, {1})",
    "Tanh({0})",
    "Neg({0})",
    "Relu({0})",
]


@st.composite
def chains(draw):
    """Nodes of a random chain z of numbers and booleans over a and b."""
    numbers, booleans, nodes = ["a", "b"], ["c0"], ["c0 = Greater(b, low)"]
    for i in range(draw(st.integers(2, 8))):
        table = draw(st.sampled_from([COMPARISONS, LOGIC, NUMBERS, NUMBERS, ["Cast<to = 1>({2})"]]))
        words = [draw(st.sampled_from(numbers[-3:])) for _ in range(2)] + [
            draw(st.sampled_from(booleans[-3:])) for _ in range(2)
        ]
        call = draw(st.sampled_from(table)).format(
            *words, k=draw(st.sampled_from(["low", "high", "slope", "per_channel"]))
        )
        nodes.append(f"n{i} = {call}")
        (booleans if table in (COMPARISONS, LOGIC) else numbers).append(f"n{i}")
    return f"{' '.join(nodes)} z = Where({booleans[-1]}, {numbers[-1]}, {numbers[-2]})"


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(chain=chains(), steps=st.integers(3, 6), granularity=st.sampled_from(["composite", "strict"]))
def test_random_chains_keep_their_outputs_and_equal_the_oracle(chain, steps, granularity):
    model = model_of(chain)
    artifact = spikec.compile(model, calibration=FEEDS, steps=steps, granularity=granularity)
    assert max(artifact.levels.distances.values()) <= 1e-4
    assert {row["kind"] for row in artifact.manifest["neurons"]} <= {"unary", "binary"}
    oracle = Oracle.of(artifact)
    stream = Session(artifact.model, precision="float64").stream(FEEDS)
    for step, (outputs, spikes) in zip(stream, oracle.run(FEEDS), strict=True):
        for neuron, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], expected, err_msg=f"{neuron} at step {step.t}")
        assert relative_distance(step.outputs["y"], outputs["y"]) < 1e-9
    first = next(iter(Session(artifact.model, "onnxruntime").stream(FEEDS, 1))).outputs["y"]
    torch = next(iter(Session(artifact.model).stream(FEEDS, 1))).outputs["y"]
    assert relative_distance(first, torch) < 1e-4
