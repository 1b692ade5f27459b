"""Step by step: the numbers of a network worked out by hand, and what is evaluated how often."""

import numpy as np
import pytest

from spikec.onnx_session import run_model
from spikec.runtime import Session
from spikec.runtime.counting import Counter
from spikec.runtime.ort_backend import OrtBackend
from spikec.runtime.result import Step
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS, compiled
from tests.models.graphs import initializer
from tests.models.networks import network
from tests.runtime.engines import Recording, parts_of

FORMS = ("loop", "step")


def stepwise(name: str, form: str = "loop") -> tuple[Stepwise, Recording]:
    engine = Recording(parts_of(name, form))
    return Stepwise(parts_of(name, form), engine), engine


def by_hand(x: np.ndarray, theta: float = 0.5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Output and spikes of the network "mlp" after each step: its one neuron holds Relu, its estimate never moves."""
    w, b, v, c = (initializer(network("mlp").model, name).astype(np.float64) for name in "wbvc")
    artifact = compiled("mlp", dead_zone=theta)
    amplitude = initializer(artifact.model, "h/amplitude").astype(np.float64)
    offset = artifact.recurrent.offsets.get("h", np.zeros(())).astype(np.float64)  # none where calibration saw little
    (row,) = artifact.manifest["neurons"]
    target, value, found = np.maximum(x @ w + b, 0), 0.0, []
    for eta in row["eta"]:
        error, size = value - target, eta * amplitude
        silent = (np.abs(error) <= theta * size) & (theta > 0)  # binary neurons send +1 even for an error of 0
        spikes = np.where(silent, 0, np.where(error >= 0, -1, 1))
        value = value + size * spikes
        found.append(((value + offset) @ v + c, spikes))
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("theta", "kinds"), [(0.5, {-1, 0, 1}), (0.0, {-1, 1})])
def test_the_steps_of_one_neuron_worked_out_by_hand(theta, kinds, form):
    parts, x = parts_of("mlp", form, dead_zone=theta), network("mlp").feeds(7)["x"]
    steps = list(Stepwise(parts, Recording(parts)).stream({"x": x}, STEPS))
    for step, (output, spikes) in zip(steps, by_hand(x.astype(np.float64), theta), strict=True):
        np.testing.assert_array_equal(step.spikes["h"], spikes)
        np.testing.assert_allclose(step.outputs["y"], output, rtol=1e-12)
    assert set(np.unique([step.spikes["h"] for step in steps])) == kinds


@pytest.mark.parametrize("form", FORMS)
def test_counts_are_the_spikes_up_to_the_last_asked_step(form):
    program, _ = stepwise("mlp", form)
    x = network("mlp").feeds(7)["x"]
    counter = Counter(parts_of("mlp", form).manifest.neurons)
    found = program.run({"x": x}, [1, 3], counter, 5)  # of the seven samples two only fill up the batch
    expected = by_hand(x.astype(np.float64))
    count = counter.counts()["h"]
    np.testing.assert_array_equal(count.per_neuron, sum(np.abs(spikes[:5]).sum(axis=0) for _, spikes in expected[:3]))
    assert count.slots == 3 * 5 * 5
    for t in (1, 3):
        np.testing.assert_allclose(found[t]["y"], expected[t - 1][0], rtol=1e-12)


def test_only_what_is_asked_is_evaluated():
    program, engine = stepwise("deep")
    init, readout = engine.made
    program.run(network("deep").feeds(2), [1, 3], None, 2)
    step = engine.made[-1]
    assert step == tuple(state.next for state in program.states), "without a counter no event is asked for"
    assert engine.evaluated == [init, step, readout, step, step, readout]
    engine.evaluated.clear()
    next(program.stream(network("deep").feeds(2), STEPS))
    assert engine.evaluated == [init, engine.made[-1], readout], "nothing of the steps to come"


def test_graphs_are_made_once():
    program, engine = stepwise("deep")
    feeds, neurons = network("deep").feeds(2), parts_of("deep").manifest.neurons
    for _ in range(3):
        program.run(feeds, [2], None, 2)
        program.run(feeds, [2], Counter(neurons), 2)
        assert isinstance(next(program.stream(feeds, 2)), Step)
    assert len(engine.made) == 4, "init, readout, and the step with and without events"
    assert {neuron.event for neuron in neurons} <= set(engine.made[-1])


@pytest.mark.parametrize("name", ["no neuron", "no neuron, readout"])
def test_a_network_without_time_gives_every_step_the_same(name):
    feeds = network(name).feeds(3)
    found = stepwise(name)[0].run(feeds, [1, 4], None, 3)
    assert list(found) == [1, 4]
    for outputs in found.values():
        np.testing.assert_allclose(outputs["y"], run_model(network(name).model, feeds)["y"], rtol=1e-5)


@pytest.mark.parametrize("name", ["no neuron", "no neuron, readout"])
def test_a_network_without_time_is_evaluated_once_and_has_no_step_graph(name):
    program, engine = stepwise(name)
    program.run(network(name).feeds(3), [4], Counter(()), 3)
    assert engine.evaluated == engine.made == [*engine.made[:1], ("y",)]


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("form", ["loop", "unrolled", "step"])
@pytest.mark.parametrize("name", ["no neuron", "no neuron, readout"])
def test_a_network_without_time_can_be_streamed(name, form, backend):
    feeds = network(name).feeds(3)
    session = Session(compiled(name, form).model, backend)
    expected = run_model(network(name).model, feeds)["y"]
    steps = list(session.stream(feeds, 3))
    assert [(step.t, step.spikes) for step in steps] == [(1, {}), (2, {}), (3, {})]
    for outputs in (*(step.outputs for step in steps), *session.run(feeds, [1, 5]).outputs.values()):
        np.testing.assert_allclose(outputs["y"], expected, rtol=1e-5)


@pytest.mark.parametrize("engine", [TorchBackend, OrtBackend])
def test_the_clock_is_a_number_and_not_a_vector(engine):
    clock = np.array(3, np.int64)
    backend = engine(parts_of("mlp"), "cpu", "float32")
    assert backend.to_numpy(backend.to_device(clock)).shape == ()


# tensors that init computes (a gate, weights, a shape) or that the network is given, read by step, readout or both
HELD = (
    "gate by what is constant in time",
    "readout of the input",
    "an output passes the input",
    "an output constant in time",
    "reshape by the batch",
    "residual",
)


@pytest.mark.parametrize("name", HELD)
def test_what_is_held_is_held_in_both_forms(name):
    assert parts_of(name).manifest.held
    feeds = network(name).feeds(3)
    loop, step = (list(stepwise(name, form)[0].stream(feeds, STEPS)) for form in FORMS)
    for one, other in zip(loop, step, strict=True):
        assert one.outputs.keys() == other.outputs.keys()
        for output, value in one.outputs.items():
            np.testing.assert_array_equal(value, other.outputs[output])
        for neuron, spikes in one.spikes.items():
            np.testing.assert_array_equal(spikes, other.spikes[neuron])
