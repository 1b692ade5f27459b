"""The plan says of every node what the compilation will make of it."""

import json

import numpy as np
import pytest
import torch

import spikec
from spikec.fates import FATES, Fate
from spikec.lowering.step_graph import CLOCK
from spikec.onnx_session import run_model
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
CASES += [(name, {"preset": "paper"}) for name in ("mlp", "two inputs", "a scalar output")]

FEEDS = {"x": normal(4, 2, 6, 6), "z": normal(4, 2, 6, 6)}


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


@pytest.mark.parametrize(
    ("name", "chosen"), [*CASES, *((name, {"coding": "spike"}) for name in ("mlp", "readout of the input"))]
)
def test_as_much_state_is_carried_as_is_planned(name, chosen):
    """Bytes that one sample's states have in the artifact; some estimates are of unknown shape before it runs."""
    case = network(name)
    plan = spikec.plan(case.model, **chosen)
    if plan.unsupported:
        return
    artifact = spikec.compile(case.model, calibration=case.feeds(6), steps=2, form="step", **chosen)
    states = artifact.manifest["states"]
    found = run_model(artifact.model, {**case.feeds(1), CLOCK: np.array(0)}) if states else {}
    carried = {state["name"]: found[state["next"]].nbytes for state in states}
    assert plan.state_bytes == sum(carried.values())
    for row in plan.neurons:
        assert row["state_bytes"] >= carried[f"{row['name']}/value"] == 4 * row["per_sample"]


def test_an_estimate_that_two_neurons_read_is_kept_once():
    nodes = "[one] e = Relu(a) f = MatMul(e, w1) [two] i = Tanh(f) [three] j = Sigmoid(f) "
    plan = spikec.plan(tiny.between(nodes + "k = MatMul(i, w1) l = MatMul(j, w1) [four] m = Mul(k, i) h = Add(m, l)"))
    assert {row["name"]: row["state_bytes"] for row in plan.neurons} == {
        "one": 4 * 6,  # its value alone: its input does not move
        "two": 4 * (6 + 6),  # and f
        "three": 4 * 6,  # f is kept already
        "four": 4 * (6 + 6),  # k; i is the value of a neuron
    }


def test_encoders_are_neurons_of_the_plan():
    (encoder, act) = spikec.plan(tiny.mlp(), preset="paper").neurons
    assert (encoder["name"], encoder["kind"], encoder["per_sample"]) == ("x/encoder", "encoder", 6)
    assert encoder["state_bytes"] == 4 * 6, "the input does not move"
    assert act["state_bytes"] == 4 * (6 + 6), "its input does, once it is encoded"


def test_an_input_that_cannot_be_encoded():
    text = "g (double[N, 6] x, float16[N, 6] z) => (float[N, 3] y) { {0} h = Relu(c) y = MatMul(h, w) }"
    nodes = "a = Cast<to = 1>(x) b = Cast<to = 1>(z) c = Add(a, b)"
    plan = spikec.plan(parse(text.replace("{0}", nodes), w=normal(6, 3)), coding="spike")
    reason = "its type {} cannot be encoded in events; use --coding direct"
    assert plan.unsupported == [
        Fate("x", "input", "unsupported", reason.format("double")),
        Fate("z", "input", "unsupported", reason.format("float16")),
    ]
    assert plan.as_dict()["convertible"] is False and "h" in [row["name"] for row in plan.neurons]


def test_what_an_opening_pass_refuses_is_in_the_plan_with_the_reason():
    pool = "MaxPool<kernel_shape = [2, 2]>"
    text = f"""g (float[N, 2, H, W] x, float[N, 2, 6, 6] z) => (float[N, 2, 1, 1] y) {{
      [open] a = {pool}(x) [known] b = {pool}(z) [also] c = GlobalMaxPool(x) d = Add(a, c) p = GlobalAveragePool(b)
      f = Add(d, p) g = Conv(f, k) y = GlobalAveragePool(g) }}"""
    plan = spikec.plan(parse(text, k=normal(2, 2, 1, 1)), granularity="strict")
    assert [node.name for node in plan.unsupported] == ["open", "also"] and not plan.as_dict()["convertible"]
    with pytest.raises(spikec.ModelError) as refused:
        spikec.compile(parse(text, k=normal(2, 2, 1, 1)), calibration=FEEDS, granularity="strict")
    assert str(refused.value) == f"node 'open' (MaxPool): {plan.unsupported[0].detail}"
    fates = {node.name: node.detail for node in plan.nodes}
    assert fates["known"] == "opened into 2 neurons", "what can be opened is"


def test_a_norm_goes_into_the_weights_before_it():
    """Whichever folds it: the optimizer does in a Conv of constants of its own, FoldBatchNorm elsewhere."""
    text = """g (float[N, 2, 6, 6] x) => (float[N, 2, 6, 6] y) {{
      [conv] a = Conv(x, k) [norm] b = BatchNormalization(a, s, t, m, v) [act] h = Relu(b) [last] y = Conv(h, {0}) }}"""
    constants = {name: normal(2, seed=i) ** 2 for i, name in enumerate("stmv")}
    found = set()
    for last in ("k", "l"):
        model = parse(text.format(last), k=normal(2, 2, 1, 1), l=normal(2, 2, 1, 1), **constants)
        fates = {node.name: (node.fate, node.detail) for node in spikec.plan(model).nodes}
        found.add((fates["conv"], fates["norm"]))
    assert found == {(LINEAR, ("linear", "part of conv")), (("linear", "part of norm"), LINEAR)}


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
    assert next(node for node in plan.nodes if node.name == "pool").detail == "opened into 2 neurons"
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
    # the neuron's 5 values and the sums of the 4 scores; its input comes from the network's input and never moves
    sizes = {"neuron_nodes": 1, "neurons_per_sample": 5, "state_bytes_per_sample": 4 * (5 + 4)}
    assert found["summary"] == {**counts, **sizes}
    assert tuple(counts) == FATES
    assert found["nodes"][0] == {"name": "a", "op": "Gemm", "fate": "linear", "detail": "carries spikes"}


def test_sizes_that_the_model_leaves_open():
    text = (
        "g (float[N, 2, H, 3] x) => (float[N, 2, 1, 1] y) { [act] r = Relu(x) c = Conv(r, k) y = GlobalAveragePool(c) }"
    )
    plan = spikec.plan(parse(text, k=normal(2, 2, 1, 1)))
    unknown = {"per_sample": None, "state_bytes": None}
    assert plan.neurons == [{"name": "act", "function": "Relu", "kind": "unary", **unknown}]
    summary = plan.as_dict()["summary"]
    assert (summary["neurons_per_sample"], summary["state_bytes_per_sample"]) == (0, None)


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
