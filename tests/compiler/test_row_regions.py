"""Norms and softmax written out as their parts: from the source to spikes, one neuron of kind row each."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikec
from spikec.calibration.channels import channel_axis
from spikec.equivalence import relative_distance
from spikec.frontends import load_model
from spikec.lowering.network import Network
from spikec.onnx_session import run_model
from spikec.pipeline import build_levels
from spikec.runtime import Session
from tests.models.forms import FORMS, run_form
from tests.models.graphs import ints, normal, parse, scalar
from tests.oracle import Oracle

STEPS = 24
CONSTANTS = {
    "w": normal(6, 5, seed=1) / 2,
    "q": normal(5, 5, seed=2) / 2,
    "v": normal(5, 4, seed=3) / 2,
    "gamma": normal(5, seed=4) ** 2 + 0.5,
    "beta": normal(5, seed=5),
    "last": ints(-1),
    "eps": scalar(1e-5),
    "two": scalar(2),
}
# a transformer block without its MLP: layer norm, attention with the maximum subtracted, residual, RMS norm behind it
BLOCK = """g (float[N, 3, 6] x) => (float[N, 3, 4] y) {
  a = MatMul(x, w)
  mean = ReduceMean(a, last) c = Sub(a, mean) c2 = Pow(c, two) var = ReduceMean(c2, last) var1 = Add(var, eps)
  deviation = Sqrt(var1) [norm] n = Div(c, deviation) scaled = Mul(n, gamma) l = Add(scaled, beta)
  query = MatMul(l, q) key = Transpose<perm = [0, 2, 1]>(l) scores = MatMul(query, key)
  top = ReduceMax(scores, last) less = Sub(scores, top) e = Exp(less) total = ReduceSum(e, last)
  [softmax] p = Div(e, total)
  h = MatMul(p, l) r = Add(a, h)
  sq = Mul(r, r) ms = ReduceMean<keepdims = 0>(sq, last) ms1 = Unsqueeze(ms, last) ms2 = Add(ms1, eps)
  rms = Sqrt(ms2) shape = Shape(r) wide = Expand(rms, shape) [rmsnorm] o = Div(r, wide)
  y = MatMul(o, v)
}"""
CALIBRATION = {"x": normal(16, 3, 6, seed=9)}
X = {"x": normal(3, 3, 6, seed=8)}


@pytest.fixture(scope="module")
def block():
    return parse(BLOCK, **CONSTANTS)


@pytest.fixture(scope="module")
def artifact(block):
    return spikec.compile(block, calibration=CALIBRATION, steps=STEPS)


def kinds(artifact):
    return {row["name"]: row["kind"] for row in artifact.manifest["neurons"]}


def test_each_norm_is_one_neuron_of_kind_row(artifact):
    found = kinds(artifact)
    assert {name: kind for name, kind in found.items() if kind == "row"} == dict.fromkeys(
        ("norm", "softmax", "rmsnorm"), "row"
    )
    assert sorted(found.values()) == ["product", "product", "row", "row", "row"]


def test_levels_equal_the_source(artifact):
    assert max(artifact.levels.distances.values()) <= 1e-5


def test_level_four_equals_the_oracle_spike_for_spike(artifact):
    oracle = Oracle.of(artifact)
    session = Session(artifact.model, precision="float64")
    sent = 0
    for step, (outputs, spikes) in zip(session.stream(X), oracle.run(X), strict=True):
        assert set(step.spikes) == set(spikes) == set(kinds(artifact))
        for neuron, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], expected, err_msg=f"{neuron} at step {step.t}")
            sent += np.abs(expected).sum()
        assert relative_distance(step.outputs["y"], outputs["y"]) < 1e-9
    assert sent > 0


@pytest.mark.parametrize("form", FORMS)
def test_every_form_approaches_the_network(block, form):
    artifact = spikec.compile(block, calibration=CALIBRATION, steps=64, form=form)
    assert relative_distance(run_form(artifact, X)["y"], run_model(block, X)["y"]) < 0.05


def test_strict_has_the_parts_as_neurons_of_their_own(block):
    levels = build_levels(block, spikec.Options(granularity="strict"), X)
    functions = [node.op_type for node in levels.neurons.graph.node if node.domain == "spikec"]
    assert not [name for name in functions if name.startswith("Row_")]
    assert len(functions) > 9


def test_the_plan_says_of_every_part_where_it_went(block):
    plan = spikec.plan(block)
    fates = {node.name: (node.fate, node.detail) for node in plan.nodes}
    assert fates["softmax"] == ("neuron", "row neuron")
    assert fates["e"] == fates["total"] == ("neuron", "part of softmax")
    assert fates["ms1"] == ("neuron", "part of rmsnorm")
    assert fates["mean"] == ("linear", "carries spikes"), "centring is exact in the segment"
    assert not plan.unsupported
    assert [row["kind"] for row in plan.neurons if row["name"] in ("norm", "softmax", "rmsnorm")] == ["row"] * 3


@pytest.mark.parametrize(("axes", "perm", "channel"), [((1,), (0, 1, 2, 3), 1), ((3,), (0, 2, 3, 1), 3),
                                                      ((2, 3), (0, 1, 2, 3), 1), ((2,), (0, 2, 3, 1), 1)])  # fmt: skip
def test_the_channels_of_a_row_along_the_last_axis_are_there(axes, perm, channel):
    back = [perm.index(i) for i in range(4)]
    text = f"""g (float[N, 3, 6, 6] x) => (float[N, 2, 6, 6] y) {{
      c = Conv(x, k) t = Transpose<perm = {list(perm)}>(c) q = Mul(t, t) m = ReduceMean(q, axes) u = Add(m, eps)
      r = Sqrt(u) n = Div(t, r) b = Transpose<perm = {back}>(n) y = Conv(b, h) }}"""
    model = parse(text, k=normal(4, 3, 1, 1), h=normal(2, 4, 1, 1), axes=ints(*axes), eps=CONSTANTS["eps"])
    levels = build_levels(model, spikec.Options(), {"x": normal(2, 3, 6, 6)})
    network = Network(levels.neurons)
    (neuron,) = network.neurons.values()
    assert neuron.kind == "row" and channel_axis(network, neuron) == channel


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def softmax(x):
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def layer_norm(x):
    variance = x.var(-1, keepdim=True, unbiased=False)
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(variance + 1e-5)


def global_response_norm(x):
    norm = x.norm(p=2, dim=1, keepdim=True)
    return x + x * (norm / (norm.mean(dim=-1, keepdim=True) + 1e-6))


MODULES = {
    "normalize": Lambda(lambda x: F.normalize(x, dim=-1)),
    "softmax": Lambda(softmax),
    "layer norm": Lambda(layer_norm),
    "rms norm": nn.RMSNorm(8),
    "global response norm": Lambda(global_response_norm),
}


@pytest.mark.parametrize("name", MODULES)
def test_what_torch_exports_is_one_row(name):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), MODULES[name], nn.Linear(8, 3)).eval()
    model = load_model(module, torch.randn(2, 5, 6)).model
    feeds = {model.graph.input[0].name: normal(3, 5, 6)}
    levels = build_levels(model, spikec.Options(), feeds)
    neurons = [neuron.kind for neuron in Network(levels.neurons).neurons.values()]
    assert neurons == ["row"]
    assert not [node for node in levels.neurons.graph.node if node.op_type in ("Expand", "Reshape")]


class CosineAttention(nn.Module):
    """Attention of normalised queries and keys; the exporter reshapes by -1, where the name of the batch is lost."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)


def test_normalised_queries_and_keys_are_rows_behind_each_other_too():
    torch.manual_seed(0)
    blocks = [CosineAttention(), CosineAttention()]
    model = load_model(nn.Sequential(nn.Linear(6, 8), *blocks, nn.Linear(8, 3)).eval(), torch.randn(2, 5, 6)).model
    levels = build_levels(model, spikec.Options(), {model.graph.input[0].name: normal(3, 5, 6)})
    neurons = [neuron.function.split("_")[0] for neuron in Network(levels.neurons).neurons.values()]
    assert sorted(neurons) == ["MatMul"] * 4 + ["Row"] * 4 + ["Softmax"] * 2
