"""A session: which steps are asked, how samples are cut into batches, what is told on the way, and streams."""

import functools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import spikec
from spikec.runtime import InputError, Result, Session
from tests.compiler.test_artifact_corners import source
from tests.models.forms import FORMS, STEPS, compiled
from tests.models.graphs import normal, parse
from tests.models.networks import network

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # float64 throughout: no sign depends on how a batch was cut


@functools.cache
def session(name: str, form: str = "loop") -> Session:
    return Session(compiled(name, form).model, precision="float64")


@functools.cache
def every_step(name: str, form: str) -> Result:
    return session(name, form).run(network(name).feeds(8), range(1, STEPS + 1))


@settings(max_examples=20, deadline=None)
@given(asked=st.none() | st.lists(st.integers(1, STEPS), min_size=1, max_size=4), form=st.sampled_from(FORMS))
def test_a_step_is_the_same_whatever_else_is_asked(asked, form):
    result = session("deep", form).run(network("deep").feeds(8), asked)
    assert list(result.outputs) == sorted(set(asked or [STEPS]))
    for t, outputs in result.outputs.items():
        np.testing.assert_allclose(outputs["y"], every_step("deep", form).outputs[t]["y"], **EXACT)


@pytest.mark.parametrize(
    ("steps", "told"), [(0, "[0]"), (-1, "[-1]"), (6, "[6]"), ([1, 6], "[1, 6]"), (range(2), "[0, 1]"), ([], "none")]
)
def test_steps_that_the_artifact_does_not_have(steps, told):
    message = f"steps {told} asked; this artifact runs 1 to {STEPS} (compile it with more --steps)"
    for call in (session("mlp").run, lambda *given: next(session("mlp").stream(*given))):
        with pytest.raises(InputError) as refused:
            call(network("mlp").feeds(2), steps)
        assert str(refused.value) == message
        assert refused.value.exit_code == 2


@settings(max_examples=20, deadline=None)
@given(size=st.integers(-1, 12), name=st.sampled_from(["deep", "dense", "two inputs"]), form=st.sampled_from(FORMS))
def test_batches_change_neither_outputs_nor_counts(size, name, form):
    found, whole = session(name, form).run(network(name).feeds(8), batch_size=size), every_step(name, form)
    np.testing.assert_allclose(found.final["y"], whole.final["y"], **EXACT)
    assert found.spikes.keys() == whole.spikes.keys()
    for neuron, count in whole.spikes.items():
        np.testing.assert_array_equal(found.spikes[neuron].per_neuron, count.per_neuron)
        assert (found.spikes[neuron].total, found.spikes[neuron].slots) == (count.total, count.slots)


@functools.cache
def fixed_batch(form: str) -> Session:
    model, feeds = source("fixed batch")
    return Session(spikec.compile(model, calibration=feeds, steps=STEPS, form=form).model, precision="float64")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_fixed_batch_takes_any_number_of_samples(count, form):
    """The artifact takes four at once; what fills up the last batch is in no output and no count."""
    x = np.random.default_rng(5).standard_normal((8, 4)).astype(np.float32)
    whole, found, rest = (fixed_batch(form).run(part) for part in (x, x[:count], x[count:]))
    np.testing.assert_allclose(found.final["y"], whole.final["y"][:count], **EXACT)
    for neuron, counts in whole.spikes.items():
        assert found.spikes[neuron].slots == count * 6 * STEPS
        np.testing.assert_array_equal(
            found.spikes[neuron].per_neuron + rest.spikes[neuron].per_neuron, counts.per_neuron
        )


@pytest.mark.parametrize(("count", "batch_size"), [(7, 3), (6, 3), (2, 64)])
def test_progress_is_told_after_each_batch(count, batch_size):
    told = []
    session("mlp").run(network("mlp").feeds(count), batch_size=batch_size, progress=lambda *done: told.append(done))
    assert told == [(min(end, count), count) for end in range(batch_size, count + batch_size, batch_size)]


@pytest.mark.parametrize("form", FORMS)
def test_without_counting_the_outputs_are_the_same(form):
    result = session("deep", form).run(network("deep").feeds(8), spikes=False)
    assert result.spikes == {}
    np.testing.assert_allclose(result.final["y"], every_step("deep", form).final["y"], **EXACT)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["two inputs", "max pool", "two heads"])
def test_a_stream_is_a_run_seen_from_inside(name, form):
    steps, whole = list(session(name, form).stream(network(name).feeds(8))), every_step(name, form)
    assert [step.t for step in steps] == list(range(1, STEPS + 1))
    for step in steps:
        assert step.outputs.keys() == whole.outputs[step.t].keys()
        for output, value in step.outputs.items():
            np.testing.assert_allclose(value, whole.outputs[step.t][output], **EXACT)
    for neuron, count in whole.spikes.items():
        sent = np.stack([step.spikes[neuron] for step in steps])
        np.testing.assert_array_equal(np.abs(sent).sum(axis=(0, 1)), count.per_neuron)
        assert (sent.dtype, sent.size) == (np.int8, count.slots)


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_may_be_shorter(form):
    steps = list(session("deep", form).stream(network("deep").feeds(8), 2))
    assert [step.t for step in steps] == [1, 2]
    np.testing.assert_allclose(steps[1].outputs["y"], every_step("deep", form).outputs[2]["y"], **EXACT)


NUMBERS = [(np.array(3), [3]), (np.int32(3), [3]), (np.array([3, 1]), [1, 3]), ({2, 1}, [1, 2]), (iter([2]), [2])]


@pytest.mark.parametrize(("steps", "asked"), NUMBERS)
def test_whole_numbers_of_any_type(steps, asked):
    assert list(session("mlp").run(network("mlp").feeds(2), steps, batch_size=np.array(1)).outputs) == asked


@pytest.mark.parametrize("number", [2.5, "3", np.array(2.5), b"", [[2]], np.array([[2]])])
@pytest.mark.parametrize("argument", ["steps", "batch_size"])
def test_what_is_no_whole_number(argument, number):
    with pytest.raises(InputError, match=f"^{argument} .* asked"):
        session("mlp").run(network("mlp").feeds(2), **{argument: number})


@pytest.mark.parametrize("thing", [None, 3, [b""]])
def test_what_is_no_artifact_at_all(thing):
    with pytest.raises(InputError, match=r"the artifact is .*; give a path, the bytes of a file, or a model"):
        Session(thing)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_samples_in_reverse_whose_last_batch_is_short(backend):
    x, found = network("mlp").feeds(5)["x"], Session(compiled("mlp").model, backend)
    np.testing.assert_allclose(found.run(x[::-1], batch_size=4).final["y"], found.run(x).final["y"][::-1], rtol=1e-5)


# engines fail on too few columns in ways of their own: torch with RuntimeError and IndexError
OPEN = {"sizes": "a = MatMul(x, w)", "indices": "f = Gather<axis = 1>(x, last) a = MatMul(f, w)"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("fault", OPEN)
def test_samples_that_an_engine_fails_on_are_the_callers_fault_in_a_run_and_in_a_stream(fault, backend, form):
    text = f"g (float[N, M] x) => (float[N, 3] y) {{ {OPEN[fault]} h = Relu(a) y = MatMul(h, v) }}"
    model = parse(text, w=normal(4, 6), v=normal(6, 3), last=np.arange(4))
    artifact = spikec.compile(model, calibration=normal(5, 4), steps=STEPS, form=form)
    opened = Session(artifact.model, backend)
    for call in (opened.run, lambda x: list(opened.stream(x))):
        with pytest.raises(InputError, match=r"the network cannot be run on x \(2, 3\): .*calibrated with"):
            call(normal(2, 3))
