"""Evaluation layer by layer: what it makes of a step graph, of shapes, of precision, and of what it cannot fold."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from onnx import helper

import spikec
from spikec.runtime import DeviceError, InputError, Session
from spikec.runtime.layers import CannotFold, Layerwise
from spikec.runtime.layers.coalesce import coalesce
from spikec.runtime.layers.elementwise import ELEMENTWISE
from spikec.runtime.layers.folding import Folded, channels_last, on_host
from spikec.runtime.layers.forms import forms
from spikec.runtime.layers.kernels import MOST_UNROLLED
from spikec.runtime.layers.layerwise import in_order
from spikec.runtime.layers.plan import Fold, Scan
from spikec.runtime.layers.planner import plan_layers
from spikec.runtime.layers.stages import Layers
from spikec.runtime.parts import take_apart
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS, compiled
from tests.models.networks import network
from tests.runtime.engines import parts_of


def stages(name, *, fused=False, **options):
    parts = parts_of(name, **options)
    read = {item for node in parts.readout for item in node.input}
    return plan_layers(
        parts, [state.next for state in parts.manifest.states if state.final in read], fused=fused
    ).stages


def test_a_neuron_and_its_integrator_are_one_scan():
    scans = [stage for stage in stages("deep") if isinstance(stage, Scan)]
    assert [len(scan.carried) for scan in scans] == [1, 2, 2, 1], "the first input never moves, the last is the output"
    assert all(scan.outputs for scan in scans)


def test_a_window_takes_all_steps_before_its_scan():
    kinds = [(type(stage), {node.op_type for node in stage.nodes}) for stage in stages("neuron fed by a neuron")]
    (at,) = (i for i, (_, operators) in enumerate(kinds) if operators == {"MaxPool"})
    assert kinds[at][0] is Fold
    assert kinds[at + 1][0] is Scan


def test_a_softmax_and_the_product_before_it_are_one_scan_of_rows():
    (row,) = (stage for stage in stages("attention", fused=True) if isinstance(stage, Scan) and stage.row is not None)
    assert [name for name, _ in row.carried] == ["f/value", "g/value"]
    assert {"Softmax"} == {node.op_type for node in row.nodes} - ELEMENTWISE
    assert [type(stage) for stage in row.apart] == [Scan, Fold, Scan]
    assert not any(isinstance(stage, Scan) and stage.row is not None for stage in stages("attention"))


def test_a_sum_comes_from_the_scan_that_reads_it_first():
    made = stages("residuals", fused=True)
    (row,) = (stage for stage in made if isinstance(stage, Scan) and stage.row is not None)
    assert row.outputs == ("g/delta", "k/event")
    (last,) = (stage for stage in made if "m/delta" in stage.outputs)
    assert isinstance(last, Scan)
    assert not last.carried
    assert {"Add"} == {node.op_type for node in last.nodes}


def test_a_node_that_reads_a_state_of_the_step_before_is_named():
    parts = parts_of("deep")
    state = next(state for state in parts.manifest.states if state.kind == "value")
    parts.step.append(helper.make_node("Neg", [state.name], ["stray"], name="looks back"))
    try:
        with pytest.raises(CannotFold, match=f"'looks back' .* reads the state '{state.name}'"):
            plan_layers(parts, ["stray"])
    finally:
        parts.step.pop()


def test_what_cannot_be_folded_is_evaluated_step_by_step_and_said(monkeypatch):
    def refuse(self, tensors, states, steps):
        raise RuntimeError("no batch axis here")

    monkeypatch.setattr("spikec.runtime.layers.folding.Folded.__call__", refuse)
    session, feeds = Session(compiled("deep").model, evaluation="layers"), network("deep").feeds(3)
    with pytest.warns(UserWarning, match="time cannot be folded: no batch axis here"):
        found = session.run(feeds).final["y"]
    np.testing.assert_array_equal(found, Session(compiled("deep").model, evaluation="steps").run(feeds).final["y"])


def test_the_form_unrolled_has_no_layers():
    with pytest.warns(UserWarning, match="form unrolled"):
        Session(compiled("deep", "unrolled").model, evaluation="layers")


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"evaluation": "sideways"}, InputError, "none of auto, layers, steps"),
        ({"memory_budget": 0}, InputError, "memory budget of 0"),
        ({"precision": "bfloat16", "evaluation": "steps"}, DeviceError, "bfloat16 evaluates layer by layer"),
        ({"precision": "int8", "evaluation": "steps"}, DeviceError, "int8 evaluates layer by layer"),
    ],
)
def test_settings_that_make_no_sense(settings_, error, message):
    with pytest.raises(error, match=message):
        Session(compiled("deep").model, **settings_)


def test_the_budget_cuts_time():
    parts, feeds = parts_of("deep"), network("deep").feeds(4)
    engine = TorchBackend(parts, "cpu", "float32")
    assert Layerwise(parts, engine, 1).stretch(feeds) == 1
    whole = Layerwise(parts, engine, 1 << 30)
    assert whole.stretch(feeds) == MOST_UNROLLED["cpu"]
    (step,) = whole._bytes.values()
    assert Layerwise(parts, engine, 2 * 3 * step).stretch(feeds) == 3


def test_memory_stays_within_the_budget_however_many_steps(monkeypatch):
    steps, samples = 256, 8
    case = network("neuron fed by a neuron")
    artifact = spikec.compile(case.model, calibration=case.feeds(4), steps=steps, range_rule="max", correction=0.0)
    peaks = []

    def spied(self, *args):
        results, peak = advance(self, *args)
        peaks.append(peak)
        return results, peak

    advance = Layers.__call__
    monkeypatch.setattr(Layers, "__call__", spied)
    feeds = case.feeds(samples)
    Layerwise(take_apart(artifact.model), TorchBackend(take_apart(artifact.model), "cpu", "float32")).stretch(feeds)
    budget = 10 * peaks[0]
    session = Session(artifact.model, evaluation="layers", memory_budget=budget)
    session._program.compiled = False
    session.run(feeds, batch_size=samples)
    assert len(peaks) > steps // 10
    assert max(peaks) <= budget


@pytest.mark.parametrize("name", ["deep", "neuron fed by a neuron"])
def test_bfloat16_remembers_what_it_sends(name):
    """x = A(v) holds but for the rounding of weights and products, so the outputs stay near those of float32."""
    parts, feeds = parts_of(name), network(name).feeds(16)
    exact, coarse = (
        Layerwise(parts, TorchBackend(parts, "cpu", precision)).run(feeds, [STEPS], None, 16)[STEPS]["y"]
        for precision in ("float32", "bfloat16")
    )
    distance = np.linalg.norm(coarse - exact) / np.linalg.norm(exact)
    assert 0 < distance < 0.1


SIZES = st.integers(1, 3)


@settings(max_examples=60, deadline=None)
@given(full=st.lists(SIZES, max_size=4), data=st.data())
def test_coalesced_tensors_broadcast_as_before(full, data):
    def tensor(name, lead=()):
        shape = [size if data.draw(st.booleans(), f"{name}: full") else 1 for size in full]
        shape = shape[data.draw(st.integers(0, len(shape)), f"{name}: axes left out") :]
        return torch.from_numpy(np.random.default_rng(len(name)).normal(size=(*lead, *shape)))

    order = data.draw(st.permutations(range(len(full))))
    carried = (
        torch.randn(tuple(full), dtype=torch.float64).permute(order).contiguous().permute(np.argsort(order).tolist())
    )
    still, stack = tensor("still"), tensor("stack", (2,))
    shape, merge, restore = coalesce([carried], [still], [stack])
    assert shape == torch.Size(full)
    together = merge(stack, 1) * merge(still) + merge(carried)
    assert together.ndim <= len(full) + 1
    padded = stack.reshape(2, *(1,) * (len(full) + 1 - stack.ndim), *stack.shape[1:])
    assert torch.equal(restore(together, 1), padded * still + carried)


@settings(max_examples=60, deadline=None)
@given(full=st.lists(SIZES, min_size=2, max_size=4), data=st.data())
def test_strided_tensors_are_merged_without_copies(full, data):
    """Axes in a given order, and one of rows behind all others: every tensor stays where it is."""

    def tensor(lead=()):
        order = data.draw(st.permutations(range(len(full))))
        made = torch.randn([*lead, *(full[axis] for axis in order)])
        return made.permute([*range(len(lead)), *(len(lead) + axis for axis in np.argsort(order))])

    row = data.draw(st.sampled_from([None, *range(-len(full), len(full))]))
    given_ = data.draw(st.sampled_from([None, "product", tuple(data.draw(st.permutations(range(len(full)))))]))
    state, stack = tensor(), tensor((2,))
    _, merge, restore = coalesce([state], [], [stack], strided=True, row=row, given=given_)
    assert merge(state).data_ptr() == state.data_ptr()
    assert merge(stack, 1).data_ptr() == stack.data_ptr()
    if row is not None:
        assert merge(state).shape[-1] == full[row]
        assert merge(state).ndim >= 2
    assert torch.equal(restore(merge(stack, 1) + merge(state), 1), stack + state)
    if isinstance(given_, tuple) and row is None:
        assert restore(torch.empty(merge(state).shape)).permute(given_).is_contiguous()


def test_a_transposed_image_is_an_image():
    image = torch.randn(2, 3, 4, 5)
    assert in_order(image, channels_last).is_contiguous(memory_format=torch.channels_last)
    assert in_order(image.permute(0, 2, 3, 1), channels_last).is_contiguous()
    assert torch.equal(in_order(image.permute(0, 2, 3, 1), channels_last), image.permute(0, 2, 3, 1))


def test_forms_save_copies():
    """Operands of a product come in its type and behind one another."""
    parts = parts_of("attention")
    wanted = {
        state.next for state in parts.manifest.states if state.final in {n for r in parts.readout for n in r.input}
    }
    plan, constants = plan_layers(parts, wanted, fused=True), {tensor.name for tensor in parts.constants}
    low, orders = forms(plan, wanted, constants, ordered=True)
    assert "g/value_next" in low
    assert orders["g/value_next"] == "product"
    assert forms(plan, wanted, constants, ordered=False) == (low, {})
    assert not wanted & low


def test_shapes_are_taken_from_tensors_as_they_are():
    """A stage that reads a shape alone converts nothing, whatever the precision."""
    node = helper.make_node("Shape", ["x"], ["s"])
    fold = Folded(Fold("s", "shape", (node,), ("s",)), {"x"}, TorchBackend(parts_of("deep"), "cpu", "bfloat16"))
    assert fold.dtype is None
    x = torch.zeros(5, 2, 3, dtype=torch.bfloat16)
    assert fold({"x": x}, {}, 5)["s"].tolist() == [2, 3]


@pytest.mark.parametrize("name", ["reshape by the batch", "concat with what is constant in time", "dense"])
def test_what_shapes_alone_decide_is_kept_by_shape(name):
    parts = parts_of(name)
    program = Layerwise(parts, TorchBackend(parts, "cpu", "float32"))
    layers = program._made(counting=False).layers
    assert layers.fixed
    for batch in (4, 2, 4, 3, 2):
        feeds = network(name).feeds(batch)
        expected = Session(compiled(name, "loop").model, evaluation="steps").run(feeds, STEPS).final
        for output, value in program.run(feeds, [STEPS], None, batch)[STEPS].items():
            np.testing.assert_allclose(value, expected[output], rtol=1e-4, atol=1e-5)
    assert len(layers._kept) == 3


def test_shapes_are_read_from_copies_in_main_memory():
    """On a device every reading would wait for all that was launched before."""
    parts, feeds = parts_of("reshape by the batch"), network("reshape by the batch").feeds(4)
    program = Layerwise(parts, TorchBackend(parts, "cpu", "float32"))
    program.run(feeds, [STEPS], None, 4)
    layers = program._made(counting=False).layers
    read = {name for stage in layers.stages if isinstance(stage, Folded) for name in stage.numbers & set(stage.reads)}
    (kept,) = layers._kept.values()
    assert read and {on_host(name) for name in read} <= set(kept)
