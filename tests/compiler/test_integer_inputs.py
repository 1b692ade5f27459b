"""Token numbers and masks: known before the first step; a table lookup makes values of them."""

import numpy as np
import pytest

import spikec
from spikec.equivalence import relative_distance
from spikec.onnx_session import run_model
from spikec.passes.graph_io import import_graph
from spikec.passes.value_path import ValuePath
from spikec.runtime import Session
from tests.models.graphs import normal, parse
from tests.oracle import Oracle

# tokens -> embedding -> one head of attention with a mask of -inf -> mean over what is not masked -> weights
ENCODER = """g (int64[N, L] tokens, int64[N, L] mask) => (float[N, 3] y) {
    e = Gather(table, tokens)
    q = MatMul(e, wq)  k = MatMul(e, wk)  kt = Transpose<perm = [0, 2, 1]>(k)
    scores = MatMul(q, kt)
    given = Cast<to = 9>(mask)  wide = Unsqueeze(given, one)
    masked = Where(wide, scores, low)
    p = Softmax(masked)  a = MatMul(p, e)  h = Add(a, e)  r = Relu(h)
    m = Cast<to = 1>(mask)  column = Unsqueeze(m, two)
    kept = Mul(r, column)  total = ReduceSum<keepdims = 0>(kept, one)
    count = ReduceSum<keepdims = 0>(column, one)
    mean = Div(total, count)  y = MatMul(mean, w)
}"""
CONSTANTS = {
    "table": normal(11, 6), "wq": normal(6, 6, seed=1), "wk": normal(6, 6, seed=2), "w": normal(6, 3, seed=3),
    "low": np.array(-np.inf, np.float32), "one": np.array([1]), "two": np.array([2]),
}  # fmt: skip


def encoder():
    return parse(ENCODER, **CONSTANTS)


def sentences(count=8, length=5, seed=0):
    """Token numbers (count, length), and a mask that leaves at least the first token of each row."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, length + 1, (count, 1))
    return {"tokens": random.integers(0, 11, (count, length)), "mask": (np.arange(length) < lengths).astype(np.int64)}


def test_symbols_are_parameters_and_embeddings_are_values():
    path = ValuePath(import_graph(encoder()))
    assert [tensor.name for tensor in path.sources] == ["e"]
    assert {"tokens", "mask", "wide", "column", "count"} <= path.symbols
    assert {"e", "scores", "masked", "kept", "mean"} <= path.tensors


def test_what_becomes_of_the_nodes():
    fates = {node.op: node for node in spikec.plan(encoder()).nodes}
    assert fates["Gather"].fate == fates["Cast"].fate == "constant"
    assert fates["Gather"].detail.startswith("computed once from integer inputs")
    assert {fates[op].fate for op in ("Where", "Mul", "Div", "ReduceSum")} == {"linear"}
    assert {fates[op].fate for op in ("Softmax", "Relu")} == {"neuron"}


@pytest.mark.parametrize("coding", ["direct", "spike", "float"])
def test_equals_the_oracle_spike_for_spike(coding):
    artifact = spikec.compile(encoder(), calibration=sentences(32, seed=1), steps=16, coding=coding)
    feeds = sentences()
    oracle = Oracle.of(artifact)
    steps = Session(artifact.model, precision="float64").stream(feeds)
    for step, (outputs, spikes) in zip(steps, oracle.run(feeds), strict=True):
        for neuron, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], expected, err_msg=f"{neuron} at step {step.t}")
        assert relative_distance(step.outputs["y"], outputs["y"]) < 1e-9


@pytest.mark.parametrize("form", ["loop", "unrolled", "step"])
@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_another_length_than_that_of_the_calibration(form, backend):
    artifact = spikec.compile(encoder(), calibration=sentences(64, 5, seed=1), steps=64, form=form)
    for length in (3, 9):
        feeds = sentences(16, length)
        found = Session(artifact.model, backend).run(feeds, spikes=False).final["y"]
        assert relative_distance(found, run_model(encoder(), feeds)["y"]) < 0.1


def test_masked_tokens_change_nothing():
    artifact = spikec.compile(encoder(), calibration=sentences(32, seed=1), steps=16)
    feeds = sentences()
    other = {**feeds, "tokens": np.where(feeds["mask"] == 1, feeds["tokens"], 7)}
    session = Session(artifact.model, precision="float64")
    np.testing.assert_allclose(session.run(feeds).final["y"], session.run(other).final["y"], rtol=1e-12)
