"""The samples that a fit runs on: as many as its time and memory allow, in batches that the network takes."""

import numpy as np
import pytest

import spikec
from spikec.calibration import fitting
from spikec.calibration.fitting import affordable
from spikec.calibration.in_time import NetworkInTime, distance
from spikec.errors import UsageError
from spikec.tables import tables_of
from tests.models import tiny
from tests.models.graphs import normal, parse
from tests.models.networks import network

STEPS = 8


def test_a_fixed_batch_is_fitted_in_whole_batches():
    x = tiny.samples(10)["x"]
    fixed = spikec.prepare(tiny.build(tiny.MLP.replace("N", "4")), calibration=x, steps=STEPS)
    batches = affordable(NetworkInTime(fixed.network), fixed.data, STEPS, fixed.fixed_batch)
    assert [batch["x"].shape for batch in batches] == [(4, 6), (4, 6)]
    free = spikec.prepare(tiny.mlp(), calibration=x[:8], steps=STEPS)
    rows = [ready.compile().manifest["neurons"] for ready in (fixed, free)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("samples", "expected"), [(1000, 8), (7, 7), (1, 1), (0.5, 1)])
def test_a_fit_takes_as_many_samples_as_memory_allows(monkeypatch, samples, expected):
    """Of the CNN's eight: ``samples`` times what one takes over all steps."""
    ready = spikec.prepare(tiny.cnn(), calibration=tiny.images(8), steps=STEPS)
    in_time = NetworkInTime(ready.network)
    each = in_time.peak_bytes(tiny.images(1))
    monkeypatch.setattr(fitting, "MOST_MEMORY", each * (STEPS + 1) * 1.001)
    assert each >= 4 * (4 * 36 * 2), "the output of the convolution and that of its neuron in float32"
    assert in_time.peak_bytes(tiny.images(8)) == pytest.approx(8 * each)
    monkeypatch.setattr(fitting, "MEMORY", samples * each * (STEPS + 1) * 1.001)
    batches = affordable(in_time, ready.data, STEPS, None)
    assert sum(len(batch["image"]) for batch in batches) == expected
    assert all(np.array_equal(b["image"], tiny.images(8)["image"][: len(b["image"])]) for b in batches)
    assert 0 < ready.compile().manifest["neurons"][0]["error"] < 1


def test_where_one_sample_is_too_large_nothing_is_fitted_and_a_warning_says_so(monkeypatch):
    """A large image over many steps ends the process for want of memory, where no one had looked."""
    ready = spikec.prepare(tiny.cnn(), calibration=tiny.images(8), steps=STEPS)
    simple = spikec.compile(tiny.cnn(), calibration=tiny.images(8), steps=STEPS, range_rule="max")
    monkeypatch.setattr(fitting, "MOST_MEMORY", 1000.0)
    artifact = ready.compile()
    assert artifact.warnings == [
        "amplitudes are the largest values seen, as by --range-rule max, and not fitted: one sample takes more than "
        "1e-06 GB over all of T = 8 steps; use fewer steps, or a smaller input"
    ]
    assert artifact.manifest["neurons"] == simple.manifest["neurons"]
    with pytest.raises(UsageError, match="tuning is not possible: one sample takes more than 1e-06 GB"):
        ready.tune(trials=1)


@pytest.mark.parametrize(("steps", "expected"), [(4, 256), (8, 256), (16, 128), (64, 32), (4096, 1)])
def test_many_steps_are_paid_for_with_fewer_samples(steps, expected):
    ready = spikec.prepare(tiny.mlp(), calibration=tiny.samples(300)["x"])
    batches = affordable(NetworkInTime(ready.network), ready.data, steps, None)
    assert sum(len(batch["x"]) for batch in batches) == expected
    assert max(len(batch["x"]) for batch in batches) == min(expected, fitting.BATCH)
    np.testing.assert_array_equal(np.concatenate([b["x"] for b in batches]), ready.data.feeds["x"][:expected])


PAIRS = """g (float[N, 6] x) => (float[M, 2, 4] y) {
  t = Reshape(x, pairs) a = MatMul(t, w) h = Relu(a) y = MatMul(h, v)
}"""


def test_a_network_that_takes_pairs_only_is_fitted():
    model = parse(PAIRS, pairs=np.array([-1, 2, 6]), w=normal(6, 5), v=normal(5, 4))
    ready = spikec.prepare(model, calibration=normal(20, 6), steps=STEPS)
    batches = affordable(NetworkInTime(ready.network), ready.data, STEPS, None)
    assert [len(batch["x"]) for batch in batches] == [16, 4]
    assert 0 < ready.compile().manifest["neurons"][0]["error"] < 1


@pytest.mark.parametrize("name", ["no neuron", "no neuron, readout"])
def test_a_network_without_neurons_has_nothing_to_fit(name):
    case = network(name)
    artifact = spikec.compile(case.model, calibration=case.feeds(6), steps=STEPS)
    assert artifact.manifest["neurons"] == [] and artifact.recurrent.offsets == {}


@pytest.mark.parametrize("steps", [3, 4])
@pytest.mark.parametrize("lost", [0.0, 100.0])
def test_outputs_that_end_far_off_are_fitted_from_zero_too_and_the_nearer_stays(monkeypatch, steps, lost):
    """Each neuron alone is better off with its mean; the outputs need not be."""
    monkeypatch.setattr(fitting, "LOST", lost)
    x = tiny.images(40)
    ready = {rule: spikec.prepare(tiny.cnn(), calibration=x, initial=rule) for rule in ("fit", "zero")}
    rows, far = {}, {}
    for rule in ready:
        options = ready[rule].chosen(steps=steps)
        tables = tables_of(ready[rule].network, options)
        in_time = NetworkInTime(ready[rule].network)
        fit = fitting.layerwise_fit(in_time, options, tables, ready[rule].seen)
        far[rule] = distance(fit.fit([x]))
        rows[rule] = {name: fitted.initial.tolist() for name, fitted in fit.fitted.items()}
    options = ready["fit"].chosen(steps=steps)
    in_time, tables = NetworkInTime(ready["fit"].network), tables_of(ready["fit"].network, options)
    fit, outputs = fitting.run_fit(in_time, options, tables, ready["fit"].seen, [x])
    nearer = "fit" if lost else min(far, key=far.__getitem__)
    assert rows["fit"] != rows["zero"]
    assert distance(outputs) == far[nearer]
    assert {name: fitted.initial.tolist() for name, fitted in fit.fitted.items()} == rows[nearer]
