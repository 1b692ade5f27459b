"""The fit of the affine readout: what it finds, when it finds nothing, and that it makes no output worse."""

import itertools

import numpy as np
import pytest
import torch

import spikec
from spikec.calibration.fitting import affordable, run_fit
from spikec.calibration.in_time import NetworkInTime, distance
from spikec.calibration.readout import FEWEST, LEAST, MOST, corrected, fit_readout
from spikec.lowering.network import Network
from spikec.onnx_session import run_model
from spikec.runtime import Session
from spikec.tables import tables_of
from tests.models.networks import network

SCALES, OFFSETS = np.array([0.5, 1.25, 2.0, 0.75]), np.array([0.5, -1.0, 0.0, 2.0])


def ready(name, samples=64, seed=50, **chosen):
    case = network(name)
    return spikec.prepare(case.model, calibration=case.feeds(samples, seed=seed), **chosen)


def fitted(prepared, steps):
    """Courses of the outputs on the samples of the fit, and the corrections found with them."""
    options = prepared.chosen(steps=steps)
    in_time, tables = NetworkInTime(prepared.network), tables_of(prepared.network, options)
    batches = affordable(in_time, prepared.data, steps, prepared.fixed_batch)
    _, courses = run_fit(in_time, options, tables, prepared.seen, batches)
    return courses, fit_readout(prepared.network, courses)


def courses_of(snn, ann, parts=3):
    """Of the output y, in several batches."""
    pairs = zip(np.array_split(ann, parts), np.array_split(snn, parts), strict=True)
    return {"y": [[torch.from_numpy(part.astype(np.float32)) for part in pair] for pair in pairs]}


def correction(snn, ann, name="mlp"):
    return fit_readout(Network(ready(name, 6).levels.neurons), courses_of(snn, ann)).get("y")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_a_scale_and_an_offset_for_each_class_are_found():
    snn = normal(100, 4)
    found = correction(snn, snn * SCALES + OFFSETS)
    np.testing.assert_allclose(found.scale, SCALES, rtol=1e-4)
    np.testing.assert_allclose(found.offset, OFFSETS, atol=1e-4)
    assert found.scale.dtype == found.offset.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "shape", "spread"),
    [("attention", (32, 3, 4), (4,)), ("squeeze and excite", (32, 3, 6, 6), (3, 1, 1))],
)
def test_the_channels_of_sequences_are_last_and_those_of_images_first(name, shape, spread):
    snn = normal(*shape)
    scale, offset = SCALES[: spread[0]].reshape(spread), OFFSETS[: spread[0]].reshape(spread)
    found = correction(snn, snn * scale + offset, name)
    assert found.scale.shape == found.offset.shape == spread
    np.testing.assert_allclose(found.scale, scale, rtol=1e-4)
    np.testing.assert_allclose(found.offset, offset, atol=1e-4)


@pytest.mark.parametrize("samples", [FEWEST, 63])
def test_where_few_values_of_a_channel_were_seen_all_share_one_correction(samples):
    snn = normal(samples, 4)
    found = correction(snn, 1.5 * snn - 0.25)
    assert found.scale.shape == found.offset.shape == ()
    np.testing.assert_allclose([found.scale, found.offset], [1.5, -0.25], rtol=1e-4)


NOTHING = {
    "too few samples": (normal(FEWEST - 1, 4), normal(FEWEST - 1, 4) * 2 + 1),
    "an output that never changes": (np.ones((100, 4)), normal(100, 4)),
    "the ANN's own values": (normal(100, 4), normal(100, 4)),
    "errors without a rule": (normal(100, 4), normal(100, 4) + 0.1 * normal(100, 4, seed=2)),
    "a masked class": (normal(100, 4), np.where(np.arange(4) == 1, -np.inf, 2 * normal(100, 4))),
}


@pytest.mark.parametrize("case", NOTHING)
def test_what_cannot_be_made_better_is_left_alone(case):
    assert correction(*NOTHING[case]) is None


def test_a_class_that_never_changes_is_shifted_and_not_scaled():
    snn = normal(100, 4) * [1, 1, 0, 1]
    offsets = np.array([0.5, -1.0, 3.0, 2.0])
    found = correction(snn, 1.5 * snn + offsets)
    np.testing.assert_allclose(found.scale, [1.5, 1.5, 1, 1.5], rtol=1e-4)
    np.testing.assert_allclose(found.offset, offsets, atol=1e-4)


@pytest.mark.parametrize(("factor", "bound"), [(9.0, MOST), (0.01, LEAST), (-1.0, LEAST)])
def test_scales_are_bounded(factor, bound):
    snn = normal(100, 4)
    np.testing.assert_allclose(correction(snn, factor * snn + 1).scale, bound)


def test_what_leaves_much_unexplained_is_drawn_towards_a_scale_of_one():
    snn = normal(FEWEST, 4)
    ann = 2 * snn + 5 + normal(FEWEST, 4, seed=1)
    least_squares = np.polyfit(snn.ravel(), ann.ravel(), 1)[0]
    assert 1 < correction(snn, ann).scale < least_squares - 0.05


def test_errors_without_a_rule_do_not_lead_to_worse_outputs_elsewhere():
    """Whatever 64 draws of few samples let the fit believe; the errors of other samples are 0.09 on average."""
    worst, mean = 0.0, []
    for seed, samples in itertools.product(range(16), (16, 24, 64, 100)):
        snn = normal(samples, 4, seed=seed)
        found = correction(snn, snn + 0.3 * normal(samples, 4, seed=1000 + seed))
        mean.append(0.09 if found is None else 0.09 + float(((found.scale - 1) ** 2 + found.offset**2).mean()))
        worst = max(worst, mean[-1])
    assert np.mean(mean) < 1.01 * 0.09 and worst < 1.1 * 0.09


def test_on_the_calibration_data_it_is_never_worse():
    gains = []
    for name, samples, steps in itertools.product(("deep", "attention", "two heads"), (16, 100), (1, 2, 4, 8)):
        prepared = ready(name, samples)
        courses, corrections = fitted(prepared, steps)
        plain, affine = distance(courses), distance(corrected(courses, corrections))
        assert affine <= plain * (1 + 1e-6), (name, samples, steps)
        gains.append((plain - affine) / plain)
        assert bool(corrections) == (gains[-1] > 1e-6)
    assert max(gains) > 0.1, "or nothing was tested"


@pytest.mark.parametrize("steps", [2, 4, 8])
@pytest.mark.parametrize("samples", [4, 16, 32, 128])
@pytest.mark.parametrize("name", ["deep", "residual", "attention", "squeeze and excite"])
def test_on_samples_held_back_it_is_not_worse(name, samples, steps):
    case, prepared = network(name), ready(name, samples)
    feeds = case.feeds(300, seed=99)
    ann = run_model(case.model, feeds)["y"]
    plain, affine = (
        np.linalg.norm(Session(prepared.compile(steps=steps, readout=readout).model).run(feeds).final["y"] - ann)
        for readout in ("plain", "affine")
    )
    assert affine <= 1.01 * plain
    if name == "deep" and (samples, steps) == (128, 2):
        assert affine < 0.9 * plain
