"""The figures behind the pictures of docs/accuracy.md, on a network of three layers; what the command writes."""

import io
from functools import partial
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from rich.console import Console

import spikec
from benchmarks.accuracy.subject import Subject
from benchmarks.datasets import Images
from benchmarks.dynamics import __main__ as command
from benchmarks.dynamics import amplitudes, depths
from benchmarks.dynamics.one_neuron import PANELS, RATIOS, Case
from spikec.calibration import layerwise
from spikec.equivalence import relative_distance
from spikec.runtime import Session
from tests.models.networks import network

SCHEDULE, STEPS = "geometric:stagger=2", 5


@pytest.fixture(scope="module")
def subject():
    case = network("deep")
    calibration, test = (case.feeds(count, seed)["x"] for count, seed in ((40, 1), (12, 2)))
    return Subject.of(case.model, Images(calibration, test, np.zeros(len(test), np.int64)))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("theta", [0.0, 0.5])
def test_a_neuron_comes_within_its_last_step_of_a_constant(ratio, theta):
    case, f = Case(ratio, theta), torch.linspace(-1.0, 1.0, 101)
    eta = case.schedule(16)
    assert float(eta.sum()) == pytest.approx(1.5)
    v = case.run(f, 16)
    assert len(v) == 17 and not v[0].any()
    assert (v[-1] - f).abs().max() <= eta[-1] * 1.001
    sizes = torch.stack([(after - before).abs() for before, after in pairwise(v)])
    silent = sizes == 0
    assert bool(silent.any()) == bool(theta), "only a ternary neuron is ever silent"
    assert torch.allclose(sizes[~silent], eta[:, None].expand_as(sizes)[~silent], atol=1e-6)


def test_a_small_ratio_is_best_for_constants_and_worst_for_late_news():
    constant, late = ([Case(ratio, late=late).error(16) for ratio in RATIOS] for late in (0, 4))
    assert constant == sorted(constant) and late == sorted(late, reverse=True)
    assert Case(0.75, late=4, stagger=8.0).error(16) < 0.1 * Case(0.75, late=4).error(16)
    assert Case(0.9, 0.5).error(16) < Case(0.9, 0.0).error(16)


def test_the_output_is_that_of_the_artifact_at_every_step(subject):
    *_, output = depths.lines(subject, STEPS, SCHEDULE)
    data = {subject.input: subject.images.calibration}
    artifact = spikec.compile(subject.model, calibration=data, steps=STEPS, schedule=SCHEDULE)
    result = Session(artifact.model).run(subject.images.test, range(1, STEPS + 1))
    expected = [relative_distance(logits["y"], subject.logits) for logits in result.outputs.values()]
    np.testing.assert_allclose(output.distances, expected, rtol=1e-4)


def test_a_line_for_every_neuron_with_its_depth(subject):
    lines = depths.lines(subject, STEPS, SCHEDULE)
    assert [line.depth for line in lines] == [0.0, 0.5, 1.0, 1.0]
    assert lines[-1].name == "output" and all(len(line.distances) == STEPS for line in lines)


def test_distances_are_relative_and_over_all_batches():
    batches = [[torch.tensor([3.0]), torch.tensor([0.0])], [torch.tensor([4.0]), torch.tensor([1.0])]]
    assert depths.distances(batches) == pytest.approx([18**0.5 / 5])


def test_amplitudes_are_those_of_the_default_preset_where_it_is_measured(subject):
    default = amplitudes.measure(amplitudes.CONFIGURATIONS[-1], subject, [3])[3]
    data = {subject.input: subject.images.calibration}
    model = spikec.compile(subject.model, calibration=data, steps=3).model
    logits = Session(model).run(subject.images.test).final["y"]
    assert default.distance == pytest.approx(relative_distance(logits, subject.logits))
    assert default.accuracy == np.mean(logits.argmax(axis=1) == 0)


def test_each_configuration_chooses_other_amplitudes(subject, monkeypatch):
    monkeypatch.setattr(layerwise, "ENOUGH", 1)  # else the few images here give no channel an offset
    found = [amplitudes.measure(c, subject, [4])[4].distance for c in amplitudes.CONFIGURATIONS]  # T = 2: no start
    assert len(set(found)) == len(amplitudes.CONFIGURATIONS) == 5


def test_pictures_and_figures(subject, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.accuracy.digits.trained", lambda *_: subject)
    monkeypatch.setattr(command, "draw_network", partial(_small, command.draw_network))
    for folder in ("a", "b"):
        assert command.main(["--output", str(tmp_path / folder)]) == 0
    for name in ("one_neuron", "depths", "amplitudes"):
        first, second = ((tmp_path / folder / f"{name}.svg").read_bytes() for folder in ("a", "b"))
        assert b"<svg" in first and first == second and len(first) < 100_000


def test_the_text_has_every_row(subject, tmp_path):
    text = io.StringIO()
    command.draw_network(subject, tmp_path, Console(file=text, width=120), 3, [2])
    assert all(c.name in text.getvalue() for c in amplitudes.CONFIGURATIONS)
    last = depths.lines(subject, 3, "geometric:stagger=0.0")[-1].distances[-1]
    assert f"stagger 0: distance of the output from the ANN's {last:.3f}" in text.getvalue()


def _small(draw, subject, folder, console, steps, times):
    draw(subject, folder, console, 3, (2, 3))


def test_panels_name_what_their_neurons_are():
    assert [len({case.theta for case in cases}) for cases in PANELS.values()] == [1, 1, 1]
    assert all(("binary" in title) == (cases[0].theta == 0) for title, cases in PANELS.items())


def test_the_model_is_left_as_it_was(subject):
    before = subject.model.SerializeToString(deterministic=True)
    depths.lines(subject, 2, "geometric")
    assert onnx.ModelProto.FromString(before) == subject.model
