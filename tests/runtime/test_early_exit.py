"""Early exit on the small networks: who leaves says what it says alone, and a certificate is never wrong."""

import functools

import numpy as np
import pytest

import spikec
from benchmarks.datasets import cifar10, data_folder
from spikec.calibration import fitting
from spikec.errors import EnvironmentMissing
from spikec.lowering.readout import Affine
from spikec.runtime import Certified, InputError, Margin, Session, Stability
from spikec.runtime.exit_rules import class_output, classes
from tests.models.graphs import normal, parse
from tests.models.networks import network

STEPS = 12
BACKENDS = ("torch", "onnxruntime")
# one output for each way to the scores: skips, several schedules, windows, shapes by the batch, gates, readouts
CERTIFIED = (
    *("mlp", "deep", "no neuron", "no neuron, readout", "neuron at the input", "neuron fed by a neuron"),
    *("a neuron's own tensor is an output", "logits and softmax", "softmax", "argmax", "readout of a neuron"),
    *("an output constant in time", "concat with what is constant in time", "gate by what is constant in time"),
    *("residual", "dense", "reshape by the batch", "reshape with a zero", "square and product", "layer norm"),
    *("max pool", "two inputs", "gated linear unit", "a slope that changes", "softmax at the beginning"),
    "shared neuron",
)


@functools.cache
def artifact(name, form="loop", **options):
    case = network(name)
    return spikec.compile(case.model, calibration=case.feeds(64, seed=50), steps=STEPS, form=form, **options).model


def session(name, backend="torch", form="loop", **options):
    """Torch in float64: there, a batch of another size makes no other spikes."""
    precision = "float64" if backend == "torch" else "float32"
    return Session(artifact(name, form, **options), backend, precision=precision)


def own_steps(result, steps):
    """Of outputs after every step, each sample's after its own number of steps."""
    return {n: np.stack([result.outputs[t][n][i] for i, t in enumerate(steps)]) for n in result.outputs[1]}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CERTIFIED)
def test_no_later_spike_changes_what_is_certified(name, backend):
    made, feeds = session(name, backend), network(name).feeds(150, seed=7)
    early = made.run_until(feeds, Certified(), batch_size=50)
    every = made.run(feeds, range(1, STEPS + 1))
    told = class_output(every.final)
    np.testing.assert_array_equal(classes(early.outputs[told]), classes(every.final[told]))
    for output, value in own_steps(every, early.steps).items():
        np.testing.assert_allclose(early.outputs[output], value, rtol=1e-4, atol=1e-5)
    assert early.limit == STEPS
    assert early.mean_steps < STEPS
    for i, steps in enumerate(early.steps):  # from its exit on, the class of each sample stands
        later = {int(classes(every.outputs[t][told])[i]) for t in range(steps, STEPS + 1)}
        assert len(later) == 1


@pytest.mark.parametrize("form", ["loop", "step"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["residual", "softmax", "argmax", "dense"])
def test_what_is_certified_holds_with_an_affine_readout(monkeypatch, name, backend, form):
    """With scales that differ by class, so that the first of the sums is often not the first of the outputs."""

    def drawn(network, courses):
        random = np.random.default_rng(1)
        return {
            n: Affine(*random.uniform([[0.5], [-0.5]], [[2.0], [0.5]], (2, courses[n][0][0].shape[1])).astype("f"))
            for n in courses
        }

    monkeypatch.setattr(fitting, "fit_readout", drawn)
    made, feeds = session(name, backend, form, readout="affine"), network(name).feeds(150, seed=7)
    early = made.run_until(feeds, Certified(), batch_size=50)
    every = made.run(feeds, range(1, STEPS + 1))
    found, plain = every.final["y"], session(name, backend, form).run(feeds).final["y"]
    assert (classes(found) != classes(plain)).any()
    np.testing.assert_array_equal(classes(early.outputs["y"]), classes(found))
    for i, steps in enumerate(early.steps):
        assert len({int(classes(every.outputs[t]["y"])[i]) for t in range(steps, STEPS + 1)}) == 1
    assert early.mean_steps < STEPS


@pytest.mark.parametrize("form", ["loop", "step"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["residual", "reshape by the batch", "two inputs"])
@pytest.mark.parametrize("rule", [Stability(2), Margin(0.3)])
def test_samples_leave_when_the_rule_says_so(name, backend, form, rule):
    made, feeds = session(name, backend, form), network(name).feeds(40, seed=3)
    early = made.run_until(feeds, rule, batch_size=16)
    every = made.run(feeds, range(1, STEPS + 1))
    scores = np.stack([every.outputs[t]["y"] for t in range(1, STEPS + 1)])
    np.testing.assert_array_equal(early.steps, [expected_exit(rule, scores[:, i]) for i in range(40)])
    np.testing.assert_allclose(early.outputs["y"], own_steps(every, early.steps)["y"], rtol=1e-4, atol=1e-5)
    assert len(set(early.steps)) > 2


def expected_exit(rule, scores):
    """By hand, for one sample's scores (T, classes)."""
    top = scores.argmax(axis=1)
    for t in range(1, STEPS):
        if isinstance(rule, Stability) and t > rule.steps and len(set(top[t - 1 - rule.steps : t])) == 1:
            return t
        if isinstance(rule, Margin) and np.diff(np.sort(scores[t - 1]))[-1] >= rule.least:
            return t
    return STEPS


def test_fewer_steps_are_certified_for_their_own_end():
    made, feeds = session("mlp"), network("mlp").feeds(100)
    early = made.run_until(feeds, Certified(), steps=6)
    assert early.limit == 6
    assert early.steps.max() <= 6
    np.testing.assert_array_equal(early.outputs["y"].argmax(1), made.run(feeds, 6).final["y"].argmax(1))


def test_the_output_that_tells_the_class_can_be_named():
    made, feeds = session("a neuron's own tensor is an output"), network("mlp").feeds(60)
    by_default, named = (made.run_until(feeds, Certified(), output=output) for output in (None, "y"))
    assert by_default.steps.tolist() == made.run_until(feeds, Certified(), output="h").steps.tolist()
    assert by_default.steps.tolist() != named.steps.tolist()
    np.testing.assert_array_equal(named.outputs["y"].argmax(1), made.run(feeds).final["y"].argmax(1))
    with pytest.raises(InputError, match="there is no output 'z'; choose one of h, y"):
        made.run_until(feeds, Certified(), output="z")


def test_progress_and_batches_of_one():
    made, feeds, told = session("mlp"), network("mlp").feeds(5), []
    early = made.run_until(feeds, Margin(0.5), batch_size=2, progress=lambda *done: told.append(done))
    assert told == [(2, 5), (4, 5), (5, 5)]
    alone = made.run_until(feeds, Margin(0.5), batch_size=1)
    np.testing.assert_array_equal(alone.steps, early.steps)


@pytest.mark.parametrize(
    ("name", "rule", "options", "message"),
    [
        ("mlp", Certified(), {"dynamics": "subgradient"}, r"LeakyIntegrate\) does more than add up .* forget"),
        ("no neuron", Certified(), {"coding": "float"}, "neuron .*SignGDFloat.* sends events that have no bound"),
        ("readout of the input", Certified(), {}, r"node 'y' \(Mul\) .* not known to keep the order of the classes"),
        ("argmax", Margin(1.0), {}, "no output holds class scores"),
        ("attention", Stability(2), {}, r"no output holds class scores .* 'y' float64 \(8, 3, 4\)"),
        ("a scalar output", Stability(2), {}, "do not hold samples apart.* use batch_size=1"),
    ],
)
def test_what_a_rule_cannot_work_with_is_refused(name, rule, options, message):
    with pytest.raises(InputError, match=message):
        session(name, **options).run_until(network(name).feeds(8), rule)


def test_graded_events_that_end_at_a_neuron_do_no_harm():
    made, feeds = session("mlp", coding="float"), network("mlp").feeds(100)
    early = made.run_until(feeds, Certified())
    np.testing.assert_array_equal(early.outputs["y"].argmax(1), made.run(feeds).final["y"].argmax(1))
    assert early.mean_steps < STEPS


def test_weights_that_differ_from_sample_to_sample_are_not_certified():
    nodes = "a = MatMul(x, w) h = Relu(a) c = Cast<to = 1>(m) f = Mul(h, c) y = MatMul(f, v)"
    feeds = {"x": normal(16, 6), "m": np.arange(80).reshape(16, 5) % 2}
    model = parse(
        f"g (float[N, 6] x, int64[N, 5] m) => (float[N, 4] y) {{ {nodes} }}",
        w=normal(6, 5, seed=2),
        v=normal(5, 4, seed=3),
    )
    made = Session(spikec.compile(model, calibration=feeds, steps=STEPS).model)
    with pytest.raises(InputError, match="'c', which changes with time or differs from sample to sample"):
        made.run_until(feeds, Certified())
    assert made.run_until(feeds, Stability(2)).outputs["y"].shape == (16, 4)


def test_forms_and_batches_without_exits_are_refused():
    with pytest.raises(InputError, match="form unrolled"):
        session("mlp", form="unrolled").run_until(network("mlp").feeds(4), Stability(2))
    text = "g (float[4, 6] x) => (float[4, 5] y) { a = MatMul(x, w) y = Relu(a) }"
    model = spikec.compile(parse(text, w=normal(6, 5)), calibration={"x": normal(4, 6)}, steps=STEPS).model
    with pytest.raises(InputError, match="fixed number of samples"):
        Session(model).run_until(normal(4, 6), Stability(2))
    for precision in ("bfloat16", "int8"):
        with pytest.raises(InputError, match="precision float32"):
            Session(artifact("mlp"), precision=precision).run_until(network("mlp").feeds(4), Stability(2))


@pytest.mark.parametrize("rule", [Certified(), Stability(2)])
def test_a_network_that_takes_one_sample_at_once(rule):
    text = "g (float[1, 6] x) => (float[1, 4] y) { a = MatMul(x, w) h = Tanh(a) y = MatMul(h, v) }"
    model = parse(text, w=normal(6, 5), v=normal(5, 4, seed=1))
    made = Session(spikec.compile(model, calibration={"x": normal(64, 6)}, steps=STEPS).model, precision="float64")
    early, every = made.run_until(normal(9, 6), rule), made.run(normal(9, 6), range(1, STEPS + 1))
    np.testing.assert_array_equal(early.outputs["y"], own_steps(every, early.steps)["y"])
    assert early.mean_steps < STEPS


def test_rows_of_one_sample_leave_together():
    """Five rows a sample stand in one axis with those of the others."""
    nodes = "t = Reshape(x, rows) a = MatMul(t, w) h = Relu(a) s = Reshape(h, back)"
    ending = "m = ReduceMean<keepdims = 0>(s, one) y = MatMul(m, v)"
    text = f"g (float[N, 5, 4] x) => (float[N, 3] y) {{ {nodes} {ending} }}"
    shapes = {"rows": np.array([-1, 4]), "back": np.array([-1, 5, 6]), "one": np.array([1])}
    model = parse(text, w=normal(4, 6, seed=1), v=normal(6, 3, seed=2), **shapes)
    made = Session(spikec.compile(model, calibration={"x": normal(64, 5, 4)}, steps=STEPS).model, precision="float64")
    x = normal(30, 5, 4, seed=5)
    early, every = made.run_until(x, Certified()), made.run(x, range(1, STEPS + 1))
    np.testing.assert_allclose(early.outputs["y"], own_steps(every, early.steps)["y"], rtol=1e-9)
    np.testing.assert_array_equal(early.outputs["y"].argmax(1), every.final["y"].argmax(1))
    assert early.mean_steps < STEPS


@pytest.mark.slow
def test_certified_exit_of_a_trained_residual_network():
    try:
        folder = data_folder()
    except EnvironmentMissing as error:
        pytest.skip(str(error))
    images = cifar10(folder, "cifar10_resnet20", calibration=64, images=24)
    model = spikec.compile(str(folder / "cifar10_resnet20.onnx"), calibration=images.calibration, steps=16).model
    made = Session(model, evaluation="steps")
    early = made.run_until(images.test, Certified())
    np.testing.assert_array_equal(early.outputs["logits"].argmax(1), made.run(images.test).final["logits"].argmax(1))
    assert early.mean_steps < 16
