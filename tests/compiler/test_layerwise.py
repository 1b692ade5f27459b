"""Layer-wise calibration: what it sees is what the artifact does, and what it chooses leaves less error."""

import numpy as np
import onnx
import pytest

import spikec
from spikec.calibration import layerwise
from spikec.calibration.fitting import MOST_SHARE, affordable, layerwise_fit, run_fit
from spikec.calibration.in_time import NetworkInTime
from spikec.calibration.layerwise import SILENT
from spikec.equivalence import relative_distance
from spikec.onnx_session import run_model
from spikec.options import from_preset
from spikec.runtime import Session
from spikec.tables import tables_of
from tests.models.graphs import initializer, normal, parse
from tests.models.networks import WEIGHTS, network

STEPS = 8
SETTINGS = {
    "default": {},
    "binary": {"dead_zone": 0.0},
    "spikes in": {"coding": "spike"},
    "graded events in": {"coding": "float", "schedule": "inverse:scale=0.5"},
    "from the mean": {"initial": "mean", "range_per": "tensor"},
    "opened": {"granularity": "strict"},
    "relu only": {"ranges": "relu"},
    "no offsets": {"correction": 0.0},
}
# neurons, affine operators, several inputs and outputs; no readout, as a fit's courses end before it
NAMES = ["deep", "residual", "dense", "attention", "max pool", "squeeze and excite", "two inputs"]
NAMES += ["gated linear unit", "a bias between neurons", "dynamic convolution", "a slope that changes", "layer norm"]


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    """These networks are small, and so is their data: a handful of values may speak for a channel here."""
    monkeypatch.setattr(layerwise, "ENOUGH", 1)


def prepared(name, **options):
    case = network(name)
    return spikec.prepare(case.model, calibration=case.feeds(24, seed=50), options=from_preset("default", **options))


def fit_of(ready, steps=STEPS):
    """The fit that the preparation compiles with, on the same batches, and the courses of the outputs."""
    options = ready.chosen(steps=steps)
    in_time, tables = NetworkInTime(ready.network), tables_of(ready.network, options)
    return run_fit(in_time, options, tables, ready.seen, affordable(in_time, ready.data, steps, ready.fixed_batch))


def outputs_over_time(artifact, feeds):
    return [step.outputs for step in Session(artifact.model).stream(feeds)]


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, "default") for name in NAMES] + [("attention", settings) for settings in SETTINGS if settings != "default"],
)
def test_courses_are_what_the_artifact_sends_at_every_step(name, settings):
    """The fit's value domain equals the artifact's outputs, on data that the fit has not seen."""
    ready = prepared(name, **SETTINGS[settings])
    fit, _ = fit_of(ready)
    artifact, feeds = ready.compile(steps=STEPS), network(name).feeds(5, seed=70)
    for neuron, fitted in fit.fitted.items():
        stored = initializer(artifact.levels.neurons, f"{neuron}/amplitude")
        np.testing.assert_allclose(stored.ravel(), fitted.amplitude.numpy(), rtol=1e-6, err_msg=neuron)
    courses = fit.run([feeds])
    ann, in_time = run_model(network(name).model, feeds), outputs_over_time(artifact, feeds)
    assert courses.keys() == ann.keys()
    for output, ((first, *course),) in courses.items():
        np.testing.assert_allclose(first.numpy(), ann[output], rtol=1e-4, atol=1e-5)
        for t, value in enumerate(course if len(course) > 1 else course * STEPS):
            np.testing.assert_allclose(value.numpy(), in_time[t][output], rtol=1e-4, atol=1e-5, err_msg=f"{output} {t}")


def test_several_batches_are_followed_one_by_one():
    ready = prepared("attention")
    fit, _ = fit_of(ready)
    feeds = network("attention").feeds(6, seed=70)
    whole, parts = fit.run([feeds])["y"], fit.run([{"x": feeds["x"][:4]}, {"x": feeds["x"][4:]}])["y"]
    for t in range(STEPS + 1):
        np.testing.assert_allclose(np.concatenate([part[t] for part in parts]), whole[0][t], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [4, 8, 16])
@pytest.mark.parametrize("name", ["sum with what is constant in time", "attention", "dense"])
def test_a_fit_ends_nearer_to_the_ann_than_the_maximum(name, steps):
    case, found = network(name), {}
    feeds = case.feeds(24, seed=50)
    ann = run_model(case.model, feeds)["y"]
    for rule in ("fit", "max"):
        chosen = {"range_rule": rule, "initial": "zero", "correction": 0.0}
        artifact = spikec.compile(case.model, calibration=feeds, steps=steps, **chosen)
        found[rule] = relative_distance(Session(artifact.model).run(feeds).final["y"], ann)
    assert found["fit"] <= found["max"]


ONE_LAYER = "g (float[N, 6] x) => (float[N, 5] h, float[N, 4] y) { a = Gemm(x, w, b) h = Relu(a) y = Gemm(h, v, c) }"


def left_over(model, x, target):
    """Squared error of h after T steps in each channel, summed over the samples."""
    found = Session(model).run(x).final["h"]
    return ((found.astype(np.float64) - target) ** 2).sum(axis=0)


def with_setting(model, amplitude, initial):
    copy, values = onnx.ModelProto(), {"h/amplitude": amplitude, "h/initial": initial}
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name].astype(np.float32), tensor.name))
    return copy


@pytest.mark.parametrize("steps", [4, 8])
def test_no_other_amplitude_or_start_that_was_tried_leaves_less_error(steps):
    """Seen from outside, channel by channel; the neuron's error in the manifest is that of the whole."""
    x = normal(120, 6, seed=40)
    x[:, 1], x[:, 2] = x[:, 1] ** 3 / 4, x[:, 2] ** 5 / 30  # heavy tails: channels that gain from being cut
    source = parse(ONE_LAYER, **{**WEIGHTS, "w": np.eye(6, 5, dtype=np.float32)})
    ready = spikec.prepare(source, calibration=x, options=from_preset("default", steps=steps))
    model, (row,), target = ready.compile().model, ready.compile().manifest["neurons"], run_model(source, {"x": x})["h"]
    fit, mean = fit_of(ready, steps)[0], ready.seen.statistics["h"].mean
    least = left_over(model, x, target)
    tops = ((start, np.maximum(target.max(axis=0) - start, start)) for start in (np.zeros(5), mean))
    settings = [(share * top, start) for start, top in tops for share in fit.shares]
    tried = [left_over(with_setting(model, *setting), x, target) for setting in settings]
    np.testing.assert_allclose(least, np.min(tried, axis=0), rtol=1e-4)
    assert len({int(i) for i in np.argmin(tried, axis=0)}) > 1, "channels choose for themselves"
    assert row["error"] == pytest.approx(np.sqrt(least.sum() / (target.astype(np.float64) ** 2).sum()), rel=1e-4)


FAR_FROM_ZERO = "g (float[N, 6] x) => (float[N, 4] y) { a = Gemm(x, w, far) h = Relu(a) y = Gemm(h, v) }"


def test_a_channel_starts_from_its_mean_where_that_leaves_less_error():
    """Far from zero there is nothing at zero to be exact about; a channel that is mostly zero starts there."""
    constants = {**WEIGHTS, "far": np.float32([40, 0, 0, -2, 0])}
    model, x = parse(FAR_FROM_ZERO, **constants), normal(300, 6, seed=40)
    found, feeds = {}, normal(100, 6, seed=41)
    for initial in ("zero", "mean", "fit"):
        artifact = spikec.compile(model, calibration=x, steps=4, initial=initial, correction=0.0)
        start = initializer(artifact.model, "h/initial")
        error = relative_distance(Session(artifact.model).run(feeds).final["y"], run_model(model, {"x": feeds})["y"])
        found[initial] = np.broadcast_to(start, (1, 5))[0], error
    fitted, mean = found["fit"][0], found["mean"][0]
    assert fitted[0] == mean[0] > 30
    assert ((fitted == 0) | (fitted == mean)).all()
    assert found["fit"][1] < 1.2 * min(found["zero"][1], found["mean"][1])
    (row,) = artifact.manifest["neurons"]
    assert row["initial"] == [pytest.approx(fitted.min()), pytest.approx(mean[0])] and not row["saturates"]


@pytest.mark.parametrize(("steps", "from_zero"), [(1, True), (2, True), (3, False), (16, False)])
def test_neurons_start_from_their_mean_only_where_steps_are_left_to_leave_it(steps, from_zero):
    relu = parse(FAR_FROM_ZERO, **WEIGHTS, far=np.full(5, 9, np.float32))
    (row,) = spikec.compile(relu, calibration=normal(40, 6, seed=40), steps=steps).manifest["neurons"]
    assert (row["initial"] == [0, 0]) == from_zero


@pytest.mark.parametrize("chosen", [{"range_rule": "max"}, {"dynamics": "subgradient"}])
def test_where_nothing_is_fitted_neurons_start_from_zero(chosen):
    relu = parse(FAR_FROM_ZERO, **WEIGHTS, far=WEIGHTS["b"])
    ready = spikec.prepare(relu, calibration=normal(40, 6, seed=40), **chosen)
    assert ready.options.initial == "fit"
    assert all(row["initial"] == [0, 0] for row in ready.compile(steps=STEPS).manifest["neurons"])


DEAD_CHANNEL = "g (float[N, 6] x) => (float[N, 4] y) { a = Gemm(x, w, far) h = Relu(a) y = Gemm(h, v) }"


def test_a_channel_never_seen_active_keeps_a_little_reach():
    constants = {**WEIGHTS, "far": np.float32([0, 0, -50, 0, 0])}
    model, x = parse(DEAD_CHANNEL, **constants), normal(40, 6, seed=40)
    fitted, simple = (spikec.compile(model, calibration=x, steps=STEPS, range_rule=rule) for rule in ("fit", "max"))
    amplitude, top = (initializer(artifact.model, "h/amplitude") for artifact in (fitted, simple))
    assert top[2] == 0 and (np.delete(top, 2) > 0).all()
    floor = SILENT * top.max()
    assert floor * STEPS / 19 * (1 - 1e-6) <= amplitude[2] <= floor * MOST_SHARE
    awake = 60 * constants["w"][:, 2:3].T / (constants["w"][:, 2] ** 2).sum()  # channel 2 is at 10
    sent = [next(iter(Session(artifact.model).run(awake).spikes.values())) for artifact in (fitted, simple)]
    assert [count.per_neuron[2] for count in sent] == [STEPS, 0], "it can say so when it is"


def test_neurons_that_are_not_scaled_keep_the_amplitude_one():
    rows = prepared("deep", ranges="relu").compile(steps=STEPS).manifest["neurons"]
    assert [row["name"] for row in rows] == ["e", "g", "h"]
    assert [row["amplitude"] == [1, 1] for row in rows] == [False, True, True]
    assert all(row["error"] > 0 for row in rows), "they are followed all the same"


def test_a_float_encoder_is_followed_and_not_fitted():
    ready = prepared("deep", coding="float")
    fit, _ = fit_of(ready)
    encoder, *others = ready.compile(steps=STEPS).manifest["neurons"]
    assert (encoder["coding"], encoder["error"], encoder["amplitude"]) == ("float", None, [1, 1])
    assert [row["name"] for row in others] == list(fit.fitted) == ["e", "g", "h"]


def test_progress_is_told_neuron_by_neuron():
    ready, told = prepared("deep"), []
    options = ready.chosen(steps=STEPS)
    fit = layerwise_fit(
        NetworkInTime(ready.network),
        options,
        tables_of(ready.network, options),
        ready.seen,
        progress=lambda *pair: told.append(pair),
    )
    fit.fit(list(ready.data.batches()))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_offsets_take_the_mean_error_of_every_channel_away():
    """With all of it the mean output of a neuron's segment is the ANN's, on the data of the fit."""
    source, x = parse(DEAD_CHANNEL, **WEIGHTS, far=WEIGHTS["b"]), normal(40, 6, seed=40)
    wanted = run_model(source, {"x": x})["y"].mean(axis=0)
    gap = {}
    for share in (0.0, 0.5, 1.0):
        artifact = spikec.compile(source, calibration=x, steps=4, correction=share)
        gap[share] = Session(artifact.model).run(x).final["y"].mean(axis=0) - wanted
    assert np.abs(gap[0.0]).max() > 1e-3
    np.testing.assert_allclose(gap[0.5], gap[0.0] / 2, atol=1e-5)
    np.testing.assert_allclose(gap[1.0], 0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deep", ["e", "g", "h"]),
        ("neuron fed by a neuron", ["i"]),  # the first is read by a neuron
        ("a neuron's own tensor is an output", []),
        ("readout of a neuron", []),
        ("residual", ["e", "i"]),
        ("gated linear unit", ["e", "h"]),
    ],
)
def test_only_neurons_behind_which_there_are_weights_have_an_offset(name, expected):
    artifact = prepared(name).compile(steps=4)
    assert sorted(artifact.recurrent.offsets) == expected
    assert all((row["offset"] is None) == (row["name"] not in expected) for row in artifact.manifest["neurons"])


def test_channels_of_which_little_was_seen_share_one_amplitude_and_have_no_offset(monkeypatch):
    ready = prepared("deep")
    seen = {statistics.count for statistics in ready.seen.statistics.values()}
    monkeypatch.setattr(layerwise, "ENOUGH", min(seen))
    apart = ready.compile(steps=STEPS)
    monkeypatch.setattr(layerwise, "ENOUGH", max(seen) + 1)
    together = ready.compile(steps=STEPS)
    for neuron in ready.network.neurons:
        own, shared = (initializer(artifact.levels.neurons, f"{neuron}/amplitude") for artifact in (apart, together))
        assert own.shape == shared.shape and len(np.unique(own)) > 1 and len(np.unique(shared)) == 1
    assert apart.recurrent.offsets and not together.recurrent.offsets
