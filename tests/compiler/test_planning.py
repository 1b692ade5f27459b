"""The plan says of every node what the compilation will make of it."""

import json

import numpy as np
import pytest
import torch

import spikec
from spikec.planning import FATES, Fate
from spikec.runtime import Session
from tests.models import tiny
from tests.models.graphs import normal, parse
from tests.models.networks import TEXTS, network

LINEAR, READOUT = ("linear", "carries spikes"), ("readout", "computed in float on the finished output")
SHAPE = ("constant", "depends on shapes only")
NO_RELU = "an integrate-and-fire neuron can only be a ReLU, so the subgradient dynamics cannot hold this nonlinearity"
SELECTION = "a selection inside the network; make it the last operator, behind all weights, where it is a readout"
STRICT = ("layer norm", "max pool", "neuron fed by a neuron", "attention", "square and product")
RELU_ONLY = ("mlp", "residual", "dense", "max pool", "softmax", "no neuron")
CASES = [(name, {}) for name in TEXTS]
CASES += [(name, {"granularity": "strict"}) for name in STRICT]
CASES += [(name, {"dynamics": "subgradient"}) for name in RELU_ONLY]


def neuron(kind):
    return "neuron", f"{kind} neuron"


# nodes -> their fate, and what is said of it
FOUND = {
    "neuron fed by a neuron": {"a h y": LINEAR, "e": neuron("unary"), "i": neuron("window")},
    "attention": {"a i j y": LINEAR, "f h": neuron("product"), "g": neuron("row")},
    "readout of the input": {"a i": LINEAR, "h": neuron("unary"), "g j y": READOUT},
    "reshape by the batch": {"a j y": LINEAR, "e": neuron("unary"), "f g i": SHAPE},
    "square and product": {"a f g y": LINEAR, "e": neuron("unary"), "h": neuron("binary")},  # e = Mul(a, a)
}


@pytest.mark.parametrize("name", FOUND)
def test_fates(name):
    expected = {node: fate for nodes, fate in FOUND[name].items() for node in nodes.split()}
    assert {node.name: (node.fate, node.detail) for node in spikec.plan(network(name).model).nodes} == expected


@pytest.mark.parametrize(("name", "chosen"), CASES)
def test_what_is_planned_is_what_is_compiled(name, chosen):
    """Convertible or not, the neuron nodes and their kinds."""
    case = network(name)
    plan = spikec.plan(case.model, **chosen)
    assert sorted(node.name for node in plan.nodes) == sorted(node.output[0] for node in case.model.graph.node)
    if plan.unsupported:
        with pytest.raises(spikec.ModelError):
            spikec.compile(case.model, calibration=case.feeds(6), steps=2, **chosen)
        return
    artifact = spikec.compile(case.model, calibration=case.feeds(6), steps=2, **chosen)
    compiled = [(row["name"], row["kind"]) for row in artifact.manifest["neurons"]]
    assert [(row["name"], row["kind"]) for row in plan.neurons] == compiled


@pytest.mark.parametrize("name", ["attention", "max pool", "square and product", "squeeze and excite", "two inputs"])
def test_as_many_neurons_fire_as_are_planned(name):
    case = network(name)
    artifact = spikec.compile(case.model, calibration=case.feeds(6), steps=2)
    counts = Session(artifact.model).run(case.feeds(2)).spikes
    planned = {row["name"]: row["per_sample"] for row in spikec.plan(case.model).neurons}
    assert planned == {neuron: count.per_neuron.size for neuron, count in counts.items()}


def test_what_cannot_be_converted_says_why():
    model = tiny.between("[best] b = Hardmax(a) [soft] s = Softmax(a) [act] h = Mul(b, s)")
    plan = spikec.plan(model)
    assert plan.as_dict()["convertible"] is False
    assert plan.unsupported == [Fate("best", "Hardmax", "unsupported", SELECTION)]
    assert [row["name"] for row in plan.neurons] == ["soft", "act"]
    with pytest.raises(spikec.ModelError) as same:
        spikec.compile(model)
    assert str(same.value) == f"node 'best' (Hardmax): {SELECTION}"


def test_integrate_and_fire_says_why():
    model = tiny.build(tiny.CNN.replace("AveragePool", "MaxPool"))
    (pool,) = spikec.plan(model, dynamics="subgradient").unsupported
    assert pool == Fate(
        "pool", "MaxPool", "unsupported", f"{NO_RELU}; use average pooling, or compile with --dynamics signgd"
    )
    (bend,) = spikec.plan(tiny.between("[bend] h = Tanh(a)"), dynamics="subgradient").unsupported
    assert bend.detail == f"{NO_RELU}; compile with --dynamics signgd"


def test_chains_and_what_strict_neurons_open():
    fused = spikec.plan(tiny.between("[gate] g = Sigmoid(a) [act] h = Mul(a, g)"))
    assert {node.name: node.detail for node in fused.nodes if node.fate == "neuron"} == {
        "gate": "part of act",
        "act": "unary neuron",
    }
    pool = tiny.build(tiny.CNN.replace("AveragePool", "MaxPool"))
    plan = spikec.plan(pool, granularity="strict")
    assert next(node for node in plan.nodes if node.name == "pool").detail == "opened into 2 elementwise neurons"
    # 4 channels of 6x6, halved along one axis and then along the other
    assert [(row["kind"], row["per_sample"]) for row in plan.neurons] == [
        ("unary", 144),
        ("binary", 72),
        ("binary", 36),
    ]


def test_the_plan_as_a_table_for_json():
    plan = spikec.plan(network("readout of the input").model)
    found = json.loads(json.dumps(plan.as_dict()))
    assert found["convertible"] is True and found["source"] == "g"
    counts = {"linear": 2, "neuron": 1, "readout": 3, "constant": 0, "unsupported": 0}
    assert found["summary"] == {**counts, "neuron_nodes": 1, "neurons_per_sample": 5}
    assert tuple(counts) == FATES
    assert found["nodes"][0] == {"name": "a", "op": "Gemm", "fate": "linear", "detail": "carries spikes"}


def test_sizes_that_the_model_leaves_open():
    text = (
        "g (float[N, 2, H, 3] x) => (float[N, 2, 1, 1] y) { [act] r = Relu(x) c = Conv(r, k) y = GlobalAveragePool(c) }"
    )
    plan = spikec.plan(parse(text, k=normal(2, 2, 1, 1)))
    assert plan.neurons == [{"name": "act", "function": "Relu", "kind": "unary", "per_sample": None}]
    assert plan.as_dict()["summary"]["neurons_per_sample"] == 0


def test_a_torch_module_is_planned_without_being_converted():
    module = torch.nn.Sequential(torch.nn.Linear(6, 7), torch.nn.GELU(), torch.nn.Linear(7, 3), torch.nn.Softmax(1))
    plan = spikec.plan(module, torch.ones(2, 6))
    assert plan.source == "Sequential"
    assert [node.fate for node in plan.nodes if node.fate != "constant"] == ["linear", "neuron", "linear", "readout"]
    assert [(row["function"], row["per_sample"]) for row in plan.neurons] == [("Gelu", 7)]


def test_the_model_is_not_touched_and_options_are_checked():
    model = network("deep").model
    before = model.SerializeToString(deterministic=True)
    assert not spikec.plan(model, granularity="strict").unsupported
    assert model.SerializeToString(deterministic=True) == before
    with pytest.raises(spikec.UsageError, match="granularity is 'fine'; choose one of composite, strict"):
        spikec.plan(model, granularity="fine")
    with pytest.raises(spikec.UsageError, match="a model cannot be a ndarray"):
        spikec.plan(np.zeros(3))
