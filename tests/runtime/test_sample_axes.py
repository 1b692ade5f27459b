"""Outputs and events that do not have the samples first: the numbers are those of all samples in one batch."""

import functools

import numpy as np
import pytest

import spikec
from spikec.onnx_session import run_model
from spikec.runtime import InputError, Session
from spikec.runtime.sample_axes import SampleAxes, find_sample_axes
from tests.compiler.test_artifact_corners import source
from tests.models.forms import FORMS, compiled
from tests.models.graphs import normal, parse
from tests.models.networks import network

BACKENDS = ("torch", "onnxruntime")
STEPS = 6
WEIGHTS = {"w": normal(4, 6, seed=1), "v": normal(6, 3, seed=3), "k": normal(6, seed=4), "rows": np.array([-1, 4])}

# the first size is a constant's, a shape's, another axis', the number of rows of all samples together, or varies
ODD = ("constant output", "output that is a weight", "shape of a neuron as output", "batch in second place")
MADE = {
    "rows of all samples": ("float[N, 5, 4] x", "float[M, 3] y", "t = Reshape(x, rows) a = MatMul(t, w)"),
    "a table of all samples": ("float[N, 4] x", "float[N, N] y", "a = MatMul(x, w)"),
}
ENDS = {"rows of all samples": "y = MatMul(h, v)", "a table of all samples": "t = Transpose(h) y = MatMul(h, t)"}


@functools.cache
def odd(name, form="loop"):
    if name in MADE:
        inputs, outputs, nodes = MADE[name]
        model = parse(f"g ({inputs}) => ({outputs}) {{ {nodes} h = Relu(a) {ENDS[name]} }}", **WEIGHTS)
        feeds = {"x": normal(4, 5, 4, seed=5) if "5" in inputs else normal(4, 4, seed=5)}
    else:
        model, feeds = source(name)
    return model, feeds, spikec.compile(model, calibration=feeds, steps=STEPS, form=form).model


def same(found, expected):
    assert {n: (v.dtype, v.shape) for n, v in found.items()} == {n: (v.dtype, v.shape) for n, v in expected.items()}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [64, 2, 1])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [*ODD, *MADE])
def test_outputs_and_counts_are_those_of_the_stream(name, form, backend, batch_size):
    model, feeds, artifact = odd(name, form)
    session = Session(artifact, backend)
    steps = list(session.stream(feeds))
    result = session.run(feeds, batch_size=batch_size)
    same(result.final, steps[-1].outputs)
    expected = run_model(model, feeds)
    assert {n: (v.dtype, v.shape) for n, v in result.final.items()} == {
        n: (v.dtype, v.shape) for n, v in expected.items()
    }
    for neuron, count in result.spikes.items():
        sent = np.stack([step.spikes[neuron] for step in steps])
        assert (count.total, count.slots) == (np.abs(sent).sum(), sent.size)


def test_events_with_the_samples_in_second_place_are_summed_over_the_samples():
    """As many samples as rows: the shapes of one batch do not tell which axis is which."""
    _, _, artifact = odd("batch in second place")
    feeds = {"x": normal(5, 5, 4, seed=6)}
    session = Session(artifact, precision="float64")
    (count,) = session.run(feeds).spikes.values()
    sent = np.stack([spikes for step in session.stream(feeds) for spikes in step.spikes.values()])
    np.testing.assert_array_equal(count.per_neuron, np.abs(sent).sum(axis=(0, 2)))


def test_events_in_rows_of_all_samples_are_those_of_each_row():
    _, feeds, artifact = odd("rows of all samples")
    session = Session(artifact, precision="float64")
    (count,) = session.run(feeds).spikes.values()
    sent = np.stack([spikes for step in session.stream(feeds) for spikes in step.spikes.values()])
    np.testing.assert_array_equal(count.per_neuron, np.abs(sent).reshape(STEPS, 4, 5, 6).sum(axis=(0, 1)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_number_for_all_samples(backend, form):
    feeds = network("a scalar output").feeds(8)
    session = Session(compiled("a scalar output", form).model, backend)
    whole, told = session.run(feeds).final["y"], []
    found = session.run(feeds, batch_size=2, progress=lambda *done: told.append(done)).final["y"]
    assert found.shape == whole.shape == ()
    np.testing.assert_allclose(found, whole, rtol=1e-6)
    assert told == [(8, 8)], "in one batch"


def test_a_network_that_one_sample_cannot_be_put_through_is_not_cut():
    nodes = "t = Reshape(x, pairs) a = MatMul(t, w) h = Relu(a) y = MatMul(h, v)"
    model = parse(f"g (float[N, 4] x) => (float[M, 2, 3] y) {{ {nodes} }}", pairs=np.array([-1, 2, 4]), **WEIGHTS)
    session = Session(spikec.compile(model, calibration={"x": normal(4, 4)}, steps=STEPS).model)
    result = session.run(normal(6, 4), batch_size=2)
    assert result.final["y"].shape == (3, 2, 3)
    assert [count.slots for count in result.spikes.values()] == [6 * 6 * STEPS]


class Fixed:
    """Outputs of given shapes by number of samples."""

    def __init__(self, *shapes):
        self.shapes = shapes

    def run(self, feeds, steps, counter, samples):
        return {steps[0]: {"y": np.zeros(self.shapes[len(feeds["x"]) - 1])}}


@pytest.mark.parametrize(
    ("one", "two", "separate"),
    [
        ((1, 3), (2, 3), True),
        ((1,), (2,), True),
        ((), (), False),
        ((3,), (2, 3), False),  # a sample that is alone loses its axis
        ((3, 1), (3, 2), False),
        ((5, 3), (10, 3), False),
        ((1, 1), (2, 2), False),
        ((2, 3), (2, 3), False),
        ((1, 3), (3, 3), False),
    ],
)
def test_samples_are_separate_where_there_is_one_row_for_each(one, two, separate):
    assert find_sample_axes(Fixed(one, two), {"x": np.zeros((1, 4))}, ()) == SampleAxes(separate, {})


def fixed(output, nodes):
    text = f"g (float[4, 4] x) => (float[4, 3] y, {output}) {{ a = MatMul(x, w) h = Relu(a) y = MatMul(h, v) {nodes} }}"
    feeds = {"x": normal(4, 4, seed=5)}
    return Session(spikec.compile(parse(text, **WEIGHTS), calibration=feeds, steps=STEPS).model)


def test_of_a_fixed_batch_what_is_the_same_for_all_samples_is_kept_once():
    found = fixed("float[6] z", "z = Neg(k)").run(normal(7, 4)).final
    assert found["y"].shape == (7, 3)
    np.testing.assert_array_equal(found["z"], -WEIGHTS["k"])


@pytest.mark.parametrize("samples", [3, 7])
def test_of_a_fixed_batch_a_number_for_all_samples_is_there_for_no_other_number_of_them(samples):
    session = fixed("float z", "z = ReduceMean<keepdims = 0>(h)")
    assert session.run(normal(4, 4)).final["z"].shape == ()
    with pytest.raises(InputError) as refused:
        session.run(normal(samples, 4))
    assert str(refused.value) == (
        "output 'z' has shape (), not one row a sample, and the artifact takes 4 samples at once; "
        f"give 4 samples, not {samples}"
    )
