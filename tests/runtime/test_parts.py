"""An artifact taken apart: the same init, step and readout out of every form, and refusals of what is not whole."""

import json
from collections.abc import Callable

import hypothesis.strategies as st
import onnx
import pytest
from hypothesis import given, settings
from onnx import NodeProto, helper

import spikec
from spikec.runtime import ArtifactError
from spikec.runtime.parts import CLOCK, needed, take_apart
from tests.compiler.test_artifact_corners import source
from tests.models.forms import FORMS, STEPS, compiled
from tests.runtime.engines import parts_of

NAMES = ("deep", "residual", "shared neuron", "reshape by the batch", "readout of the input", "two heads", "two inputs")


def wiring(nodes: list[NodeProto]) -> set[tuple]:
    """Operator, inputs and outputs of each node that computes something the others read."""
    return {(node.op_type, tuple(node.input), tuple(node.output)) for node in nodes}


@pytest.mark.parametrize("name", NAMES)
def test_forms_loop_and_step_have_the_same_parts(name):
    loop, step = parts_of(name), parts_of(name, "step")
    states = [state.next for state in loop.manifest.states]
    initial = [state.initial for state in loop.manifest.states]
    assert wiring(needed(step.step, states)) == wiring(needed(loop.step, states))
    assert wiring(needed(step.init, initial)) == wiring(needed(loop.init, initial))
    assert wiring(step.readout) == wiring(loop.readout)


@pytest.mark.parametrize("name", NAMES)
def test_the_unrolled_form_has_all_steps_in_init(name):
    parts = parts_of(name, "unrolled")
    made = {output for node in parts.init for output in node.output}
    assert parts.step == []
    assert {f"{neuron.event}@{t}" for neuron in parts.manifest.neurons for t in range(STEPS)} <= made
    assert {node.name for node in parts.readout} == parts.manifest.readout_nodes


@pytest.mark.parametrize("form", FORMS)
def test_constants_are_weights_and_no_defaults_of_states(form):
    names = {tensor.name for tensor in parts_of("deep", form).constants}
    assert {"w", "b", "q", "v", "c"} <= names
    assert CLOCK not in names and not any(name.endswith("/in") for name in names)


def test_the_types_of_inputs_and_held_tensors_are_known():
    model, feeds = source("shape of a neuron as output")
    parts = take_apart(spikec.compile(model, calibration=feeds, steps=STEPS).model)
    assert parts.types["x"] == onnx.TensorProto.FLOAT
    held = dict(zip(parts.manifest.held, parts.manifest.held_types, strict=True))
    assert set(held.values()) == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert parts.types.items() >= held.items()


def damaged(form: str, damage: Callable[[onnx.ModelProto, dict], None]) -> onnx.ModelProto:
    """The artifact of the network "deep" after ``damage`` of its model or its manifest."""
    model = onnx.ModelProto()
    model.CopyFrom(compiled("deep", form).model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    manifest = json.loads(properties["spikec"])
    damage(model, manifest)
    onnx.helper.set_model_props(model, {**properties, "spikec": json.dumps(manifest)})
    return model


def lose_a_function(model: onnx.ModelProto, _: dict) -> None:
    model.functions.remove(next(f for f in model.functions if f.name == "SignGDTernary_Tanh"))


def rename_the_time(model: onnx.ModelProto, _: dict) -> None:
    next(node for node in model.graph.node if node.op_type in ("Loop", "If")).name = "other"


# what is wrong -> the form, how, and the message
FAULTS = {
    "state": ("step", lambda _, m: m["states"][1].update(next="gone"), "lacks 'gone'"),
    "event": ("step", lambda _, m: m["neurons"][1].update(event="gone"), "lacks 'gone'"),
    "unrolled event": ("unrolled", lambda _, m: m["neurons"][1].update(event="gone"), f"lacks 'gone@{STEPS - 1}'"),
    "held": ("unrolled", lambda _, m: (m["held"].append("gone"), m["held_types"].append(1)), "lacks 'gone'"),
    "function": ("loop", lose_a_function, "lacks 'SignGDTernary_Tanh'"),
    "function of form step": ("step", lose_a_function, "lacks 'SignGDTernary_Tanh'"),
    "loop": ("loop", rename_the_time, "has 0 Loop nodes over time where one belongs"),
    "choice": ("step", rename_the_time, "has 0 If nodes over time where one belongs"),
    "form step": ("loop", lambda _, m: m.update(form="step"), "has 0 If nodes over time where one belongs"),
    "form unrolled": ("loop", lambda _, m: m.update(form="unrolled"), f"'.*@{STEPS - 1}'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_artifact_that_is_not_whole_is_refused(fault):
    form, damage, message = FAULTS[fault]
    with pytest.raises(ArtifactError, match=f"{message}.*compile it again") as refused:
        take_apart(damaged(form, damage))
    assert refused.value.exit_code == 3


@st.composite
def graphs(draw: st.DrawFn) -> list[NodeProto]:
    """Nodes v0, v1... in order, each reading some of those before it; some have an output that nobody names."""
    nodes = []
    for i in range(draw(st.integers(1, 8))):
        read = draw(st.lists(st.sampled_from(["x", "", *(f"v{j}" for j in range(i))]), max_size=3))
        nodes.append(helper.make_node("Any", read, [f"v{i}", ""]))
    return nodes


@settings(max_examples=100, deadline=None)
@given(nodes=graphs(), choice=st.sets(st.integers(0, 7)))
def test_needed_is_what_the_outputs_can_be_traced_back_to(nodes, choice):
    outputs = [f"v{i}" for i in choice]
    reached, found = set(outputs), set()
    while reached - found:
        found |= reached
        reached = {name for node in nodes if node.output[0] in found for name in node.input if name} | found
    assert needed(nodes, outputs) == [node for node in nodes if node.output[0] in found]
