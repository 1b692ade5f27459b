"""Operators of opset 23 that are many neurons: attention and rotary embedding."""

import numpy as np
import pytest

import spikec
from spikec.canonical import canonicalise
from spikec.equivalence import relative_distance
from spikec.onnx_session import run_model
from spikec.pipeline import build_levels
from spikec.runtime import Session
from tests.models.graphs import normal, parse

LENGTH, WIDTH = 5, 8
ATTENTION = """g (float[N, 5, 8] x) => (float[N, 5, 3] y) {{
    q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv)
    [attend] a = Attention<q_num_heads = 2, kv_num_heads = 2{attributes}>(q, k, v{mask}) y = MatMul(a, w)
}}"""
ROTARY = """g (float[N, 5, 8] x) => (float[N, 5, 3] y) {
    r = RotaryEmbedding<num_heads = 2>(x, cos, sin, places) h = Tanh(r) y = MatMul(h, w)
}"""
WEIGHTS = {name: normal(8, 8, seed=i) / 3 for i, name in enumerate(("wq", "wk", "wv"))} | {"w": normal(8, 3, seed=3)}


def opset_23(text, **constants):
    model = parse(text, **constants)
    model.opset_import[0].version, model.ir_version = 23, 11
    return model


def attention(attributes="", mask=None):
    given = {} if mask is None else {"mask": mask}
    return opset_23(ATTENTION.format(attributes=attributes, mask=", mask" if given else ""), **WEIGHTS, **given)


HIDDEN = np.where(np.arange(LENGTH) < 3, 0, -np.inf).astype(np.float32) + np.zeros((LENGTH, 1), np.float32)
MODELS = {
    "plain": attention(),
    "causal": attention(", is_causal = 1"),
    "scaled": attention(", scale = 0.3"),
    "a mask of -inf": attention(mask=HIDDEN),
    "a boolean mask": attention(mask=HIDDEN == 0),
    "rotary": opset_23(
        ROTARY,
        cos=np.cos(normal(LENGTH, 2)),
        sin=np.sin(normal(LENGTH, 2)),
        places=np.arange(LENGTH)[None].repeat(4, 0),
        w=WEIGHTS["w"],
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_converts_and_comes_near_the_network(name):
    x = normal(4, LENGTH, WIDTH)
    artifact = spikec.compile(MODELS[name], calibration=normal(4, LENGTH, WIDTH, seed=9), steps=64)
    assert max(artifact.levels.distances.values()) < 1e-5
    found = Session(artifact.model).run(x).final["y"]
    assert relative_distance(found, run_model(MODELS[name], {"x": x})["y"]) < 0.05


def test_attention_is_two_products_and_a_softmax():
    kinds = sorted(row["kind"] for row in spikec.plan(MODELS["plain"]).neurons)
    assert kinds == ["product", "product", "row"]


def test_the_plan_speaks_of_the_node_of_the_file():
    plan = spikec.plan(MODELS["causal"])
    attend = next(node for node in plan.nodes if node.name == "attend")
    assert (attend.fate, attend.detail) == ("neuron", "opened into 3 neurons")
    assert plan.unsupported == [] and all(row["name"].startswith("attend/") for row in plan.neurons)


@pytest.mark.parametrize("like", ["h", "third"])
def test_a_cast_to_the_type_of_another_tensor(like):
    """What the exporter writes for the scale of attention."""
    text = f"""g (float[N, 4] x) => (float[N, 4] y) {{
      h = MatMul(x, w) [cast] c = CastLike(number, {like}) s = Sqrt(c) f = Mul(h, s) r = Relu(f) y = MatMul(r, w) }}"""
    model = parse(text, w=normal(4, 4), number=np.array(4), third=np.float32([3]))
    made, x = canonicalise(model), normal(3, 4)
    assert not {"CastLike", "Sqrt"} & {node.op_type for node in made.graph.node}, "left where it could be folded"
    np.testing.assert_allclose(run_model(made, {"x": x})["y"], run_model(model, {"x": x})["y"], rtol=1e-6)


def test_a_cast_of_values_to_a_type_that_is_known():
    text = """g (float[N, 4] x) => (float[N, 4] y) {
      h = MatMul(x, w) [cast] c = CastLike(h, other) r = Relu(c) y = MatMul(r, w) }"""
    model = parse(text, w=normal(4, 4), other=np.float32([3]))
    assert max(build_levels(model, spikec.Options(), {"x": normal(3, 4)}).distances.values()) < 1e-6
