import numpy as np
import onnx
import pytest

import spikec
from spikec import pipeline
from spikec.canonical import canonicalise
from spikec.errors import InternalError, ModelError
from spikec.passes import Record
from spikec.passes.graph_io import import_graph
from spikec.pipeline import HALF_TOLERANCE, LEVELS, apply_pass, build_levels, ordered_passes
from tests.models.graphs import normal, operators, parse
from tests.models.networks import network

MLP = "g ({0}[N, 4] x) => ({0}[N, 3] y) {{ a = MatMul(x, w) h = Relu(a) y = MatMul(h, v) }}"


def names(**options):
    return [type(rewrite).__name__ for _, rewrite in ordered_passes(spikec.Options(**options))]


CANONICAL = [
    "OpenQuantisedArithmetic", "FoldConstants", "OpenQuantisation", "UnifyPrecision", "RemoveIdentity",
    "CancelTransposes", "FoldBatchNorm", "NarrowFills", "FuseElementwise",
]  # fmt: skip
COMPOSITE = [*CANONICAL[:-1], "FuseRows", CANONICAL[-1]]


def test_the_order_of_the_passes():
    assert names() == [*COMPOSITE, "PlaceNeurons"]
    assert names(granularity="strict") == [
        *CANONICAL,
        "OpenLayerNorm",
        "OpenGroupNorm",
        "OpenLpNorm",
        "OpenSoftmax",
        "OpenReduction",
        "OpenMaxPool",
        "OpenLpPool",
        "OpenManyInputs",
        "FuseElementwise",
        "PlaceNeurons",
    ]
    assert names(coding="spike")[-2:] == names(coding="float")[-2:] == ["PlaceNeurons", "EncodeInputs"]


@pytest.mark.parametrize("granularity", ["composite", "strict"])
def test_levels_come_in_order_and_each_is_a_valid_model(granularity):
    case = network("layer norm")
    levels = build_levels(case.model, spikec.Options(granularity=granularity), case.feeds())
    assert tuple(levels.models) == LEVELS
    for model in levels.models.values():
        onnx.checker.check_model(model, full_check=True)
    assert levels.models["source"] is case.model
    assert "LayerNormalization" in operators(levels.models["canonical"])
    assert ("LayerNormalization" in operators(levels.models["primitive"])) is (granularity == "composite")
    assert any(op.startswith("spikec::") for op in operators(levels.neurons))


def test_every_pass_is_recorded_and_its_distance_measured():
    case = network("layer norm")
    levels = build_levels(case.model, spikec.Options(), case.feeds())
    assert [name for name, _ in levels.records] == names()
    assert list(levels.distances) == ["canonicalise", *(f"canonical/{n}" for n in COMPOSITE), "neurons/PlaceNeurons"]
    assert all(distance < 1e-5 for distance in levels.distances.values())


def test_the_source_is_not_touched():
    case = network("deep")
    before = case.model.SerializeToString(deterministic=True)
    build_levels(case.model, spikec.Options(granularity="strict", coding="spike"), case.feeds())
    assert case.model.SerializeToString(deterministic=True) == before


class Bad:
    """A pass that breaks the network."""

    def __call__(self, graph):
        next(node for node in graph.nodes if node.op == "Relu").op = "Abs"
        return graph, Record()


def test_a_pass_that_changes_the_outputs_is_named(monkeypatch):
    monkeypatch.setattr(pipeline, "ordered_passes", lambda options: (("canonical", Bad()),))
    case = network("mlp")
    with pytest.raises(InternalError, match="pass Bad changed the network's outputs"):
        build_levels(case.model, spikec.Options(), case.feeds())


def test_a_node_that_cannot_be_converted_is_the_users_to_know():
    model = parse(
        "g (float[N, 4] x) => (float[N, 4] y) { [here] a = Det(s) s = Unsqueeze(x, i) b = Add(x, a) y = MatMul(b, w) "
        "}".replace("Det(s)", "Hardmax(s)"),
        i=np.array([0]),
        w=normal(4, 4),
    )
    with pytest.raises(ModelError, match=r"node 'here' \(Hardmax\): a selection inside the network; make it the last"):
        build_levels(model, spikec.Options(), {"x": normal(2, 4)})


def test_apply_pass_notes_the_shapes():
    model, _ = apply_pass(lambda graph: (graph, Record()), network("mlp").model)
    assert {info.name for info in model.graph.value_info} == {"a", "h"}
    assert [node.name for node in import_graph(model).nodes] == ["a", "h", "y"]


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_other_precisions_end_in_float32_between_borders_of_their_own(kind):
    dtype = {"float16": np.float16, "double": np.float64}[kind]
    model = parse(MLP.format(kind), w=normal(4, 6).astype(dtype), v=normal(6, 3).astype(dtype))
    feeds = {"x": normal(4, 4).astype(dtype)}
    levels = build_levels(model, spikec.Options(), feeds)
    assert max(levels.distances.values()) < (HALF_TOLERANCE if kind == "float16" else 1e-4)
    assert levels.neurons.graph.input[0].type == model.graph.input[0].type
    assert levels.neurons.graph.output[0].type == model.graph.output[0].type
    assert all(tensor.data_type != model.graph.initializer[0].data_type for tensor in levels.neurons.graph.initializer)


class Slightly:
    """A pass that scales the weights by 1.002, as rounding to half precision might."""

    def __call__(self, graph):
        for node in graph.nodes:
            if node.op == "MatMul":
                node.inputs[1].values = (node.inputs[1].values * 1.002).astype(node.inputs[1].values.dtype)
        return graph, Record()


def test_half_precision_may_differ_by_its_own_rounding_and_full_precision_may_not(monkeypatch):
    monkeypatch.setattr(pipeline, "ordered_passes", lambda options: (("canonical", Slightly()),))
    for kind, dtype in (("float16", np.float16), ("float", np.float32)):
        model = parse(MLP.format(kind), w=normal(4, 6).astype(dtype), v=normal(6, 3).astype(dtype))
        feeds = {"x": normal(64, 4).astype(dtype)}
        if kind == "float16":
            assert 1e-4 < build_levels(model, spikec.Options(), feeds).distances["canonical/Slightly"] < HALF_TOLERANCE
        else:
            with pytest.raises(InternalError, match="allowed 1e-04"):
                build_levels(model, spikec.Options(), feeds)


@pytest.mark.parametrize("opset", [13, 20])
def test_nodes_bear_names_that_the_file_has(opset):
    """Their own, or that of their first output: not those that converter and optimizer give them."""
    text = (
        "g (float[N, 4] x) => (float[N, 4] y) {{ [up] a = MatMul(x, w) {0} = Relu(a) h = Neg({0}) y = MatMul(h, w) }}"
    )
    for output in ("r", "up"):  # a tensor may be called as another node is
        canonical = canonicalise(parse(text.format(output), opset, w=normal(4, 4)))
        assert [node.name for node in canonical.graph.node] == ["up", "r" if output == "r" else "up_2", "h", "y"]
