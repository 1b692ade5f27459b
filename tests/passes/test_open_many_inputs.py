import numpy as np
import pytest

from spikec.passes import FuseElementwise, OpenManyInputs, PlaceNeurons
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, run_pass

NAMES = ("x", "z", "u", "v", "q")
FEEDS = {name: normal(3, 4, seed=i) for i, name in enumerate(NAMES)}


def model_of(nodes, inputs=NAMES):
    signature = ", ".join(f"float[N, 4] {name}" for name in inputs)
    text = f"g ({signature}) => (float[N, 4] y) {{ {nodes} y = MatMul(a, w) }}"
    return parse(text, w=normal(4, 4), k=normal(4), axes=np.array([0, 1]))


def feeds_of(inputs):
    return {name: FEEDS[name] for name in inputs}


def kinds(model):
    placed, _ = run_pass(PlaceNeurons("strict"), model)
    return [next(a.s.decode() for a in node.attribute if a.name == "kind") for node in placed.graph.node if node.domain]


@pytest.mark.parametrize("op", ["Max", "Min"])
@pytest.mark.parametrize("inputs", [NAMES[:3], NAMES[:4], NAMES])
def test_many_inputs_become_a_tree(op, inputs):
    model = model_of(f"[op] a = {op}({', '.join(inputs)})", inputs)
    opened, record = keeps_outputs(OpenManyInputs(), model, feeds_of(inputs))
    assert record.rewrote == ["op"]
    assert count(opened, op) == len(inputs) - 1
    assert kinds(opened) == ["binary"] * (len(inputs) - 1)
    assert all(node.name.startswith("op/") for node in opened.graph.node if node.op_type == op)


def test_parameters_take_part_and_repeated_tensors_count_once():
    inputs = NAMES[:3]
    model = model_of("[op] a = Max(x, z, x, k, u)", inputs)
    opened, _ = keeps_outputs(OpenManyInputs(), model, feeds_of(inputs))
    assert sorted(kinds(opened)) == ["binary", "binary", "unary"]


@pytest.mark.parametrize("nodes", ["[op] a = Max(x, z, x)", "[op] a = Max(x, k, z)", "[op] a = Min(k, x, k)"])
def test_what_a_binary_neuron_can_hold_stays(nodes):
    model = model_of(nodes, NAMES[:2])
    opened, record = keeps_outputs(OpenManyInputs(), model, feeds_of(NAMES[:2]))
    assert record.rewrote == [] and operators(opened) == operators(model)


def test_sums_and_means_of_many_are_linear():
    model = model_of("b = Sum(x, z, u) c = Mean(x, z, b, v) a = Add(b, c)", NAMES[:4])
    opened, record = keeps_outputs(OpenManyInputs(), model, feeds_of(NAMES[:4]))
    assert record.rewrote == [] and kinds(opened) == []


def test_a_clip_between_bounds_that_change():
    """ONNX: the upper bound wins where the lower is above it; so it does in half of these."""
    text = """[low] low = ReduceMean<keepdims = 0>(z, axes) [high] high = ReduceMean<keepdims = 0>(u, axes)
      [op] a = Clip(x, low, high)"""
    inputs = NAMES[:3]
    for sign in (1, -1):
        feeds = {"x": FEEDS["x"], "z": np.full((3, 4), 0.3 * sign, np.float32), "u": np.zeros((3, 4), np.float32)}
        opened, record = keeps_outputs(OpenManyInputs(), model_of(text, inputs), feeds)
        assert record.rewrote == ["op"] and count(opened, "Clip") == 0
        assert kinds(opened) == ["binary", "binary"]


def test_a_clip_with_one_bound_that_changes_stays():
    text = "low = ReduceMean<keepdims = 0>(z, axes) [op] a = Clip(x, low)"
    opened, record = keeps_outputs(OpenManyInputs(), model_of(text, NAMES[:2]), feeds_of(NAMES[:2]))
    assert record.rewrote == [] and kinds(opened) == ["binary"]


def test_what_stands_around_is_fused_into_the_binary_neurons():
    inputs = NAMES[:3]
    model = model_of("e = Exp(x) n = Neg(z) m = Max(e, n, u) a = Tanh(m)", inputs)
    opened, _ = keeps_outputs(OpenManyInputs(), model, feeds_of(inputs))
    fused, _ = keeps_outputs(FuseElementwise(), opened, feeds_of(inputs))
    assert kinds(fused) == ["binary", "binary"]
