"""What is handed out: of the declared type, and in memory of its own."""

import numpy as np
import pytest

import spikec
from spikec.runtime import Session
from tests.compiler.test_artifact_corners import source
from tests.models.forms import FORMS, STEPS, compiled
from tests.models.graphs import normal, parse
from tests.models.networks import network

BACKENDS = ("torch", "onnxruntime")


def overwrite(outputs):
    for value in outputs.values():
        value[...] = 99


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", FORMS)
def test_writing_to_an_output_that_is_a_weight_changes_no_later_one(form, backend):
    model, feeds = source("output that is a weight")
    session = Session(spikec.compile(model, calibration=feeds, steps=STEPS, form=form).model, backend)
    for _ in range(2):
        final = session.run(feeds).final
        np.testing.assert_array_equal(final["k"], normal(6, seed=4))
        overwrite(final)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["an output passes the input", "a neuron's own tensor is an output", "mlp"])
def test_writing_to_the_outputs_of_a_stream_changes_neither_inputs_nor_states(name, backend):
    feeds, session = network(name).feeds(3), Session(compiled(name).model, backend)
    expected, before = list(session.stream(feeds)), {name: x.copy() for name, x in feeds.items()}
    for step, other in zip(session.stream(feeds), expected, strict=True):
        for output, value in other.outputs.items():
            np.testing.assert_array_equal(step.outputs[output], value)
        overwrite(step.outputs)
    for given, x in feeds.items():
        np.testing.assert_array_equal(x, before[given])


def test_writing_to_one_step_of_a_network_without_time_leaves_the_others():
    found = Session(compiled("no neuron").model).run(network("no neuron").feeds(3), [1, 2]).outputs
    overwrite(found[1])
    assert not (found[2]["y"] == 99).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_outputs_are_of_the_type_that_the_artifact_declares(kind, dtype, backend, form):
    constants = {"w": normal(4, 6, seed=1).astype(dtype), "v": normal(6, 3, seed=3).astype(dtype)}
    text = f"g ({kind}[N, 4] x) => ({kind}[N, 3] y) {{ a = MatMul(x, w) h = Relu(a) y = MatMul(h, v) }}"
    x = normal(4, 4).astype(dtype)
    artifact = spikec.compile(parse(text, **constants), calibration=x, steps=STEPS, form=form)
    session = Session(artifact.model, backend)
    assert session.run(x).final["y"].dtype == dtype
    assert {step.outputs["y"].dtype for step in session.stream(x)} == {np.dtype(dtype)}
