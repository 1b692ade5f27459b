"""The tuner on a network of three layers: what it finds, what it leaves behind, and what it refuses."""

import csv
import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import spikec
from spikec.calibration.fitting import MOST_SAMPLES, split_batches
from spikec.calibration.in_time import NetworkInTime, distance
from spikec.errors import EnvironmentMissing, UsageError
from spikec.options import PRESETS, least_share
from spikec.runtime import Session
from spikec.schedules import fitted_ratio, fitted_stagger
from spikec.tuning import Trial, Tuning
from spikec.tuning.space import Space
from tests.models.networks import network

SETTINGS = {"schedule", "correction", "range_rule", "dead_zone", "early_dead_zone"}
optuna = pytest.importorskip("optuna")


def ready(samples=32, name="deep", **chosen):
    case = network(name)
    return spikec.prepare(case.model, calibration=case.feeds(samples)["x"], **chosen)


@pytest.fixture(scope="module")
def prepared():
    return ready()


@pytest.fixture(scope="module")
def tuning(prepared):
    return prepared.tune(steps=4, trials=6, budget=600)


def test_the_first_trial_is_the_preparation_itself(tuning, prepared):
    assert [trial.number for trial in tuning.trials] == list(range(6))
    assert tuning.trials[0].settings == {}
    assert all(set(trial.settings) == SETTINGS for trial in tuning.trials[1:])
    assert all(np.isfinite(trial.distance) and trial.distance > 0 for trial in tuning.trials)


def test_binary_neurons_stay_binary():
    """A dead zone of 0 is what the hardware asks for, and nothing to be searched."""
    binary = ready(dead_zone=0.0)
    found = binary.tune(steps=4, trials=6, budget=600)
    assert all(set(trial.settings) == SETTINGS - {"dead_zone"} for trial in found.trials[1:])
    artifact = binary.compile(tuning=found)
    assert artifact.recurrent.dead_zones == {}
    assert Session(artifact.model).run(network("deep").feeds(4, seed=70)).rate == 1


def test_a_number_of_trials_gives_the_same_twice(tuning):
    again = ready().tune(steps=4, trials=6, budget=600)
    assert again.as_dict() == tuning.as_dict()
    assert json.loads(json.dumps(again.as_dict()))["seed"] == 0


def test_a_seed_leads_elsewhere_once_the_neighbours_are_tried():
    found = [ready(seed=seed).tune(steps=2, trials=20, budget=600) for seed in (0, 1)]
    assert found[0].trials[0].distance == found[1].trials[0].distance
    assert [t.settings for t in found[0].trials] != [t.settings for t in found[1].trials]
    assert [tuning.seed for tuning in found] == [0, 1]


@pytest.mark.parametrize("steps", [1, 2, 4, 9])
def test_what_is_chosen_is_never_worse_on_the_confirming_samples(prepared, steps):
    tuning = prepared.tune(steps=steps, trials=4, budget=600)
    assert tuning.tuned <= tuning.default
    best = min(tuning.trials, key=lambda trial: trial.distance)
    assert tuning.chosen in ({}, best.settings)
    assert bool(tuning.chosen) == (tuning.tuned < tuning.default)


def test_what_is_not_confirmed_is_not_chosen(prepared, monkeypatch):
    """The judging samples like whatever differs from the default, the confirming ones do not."""
    from spikec.tuning import search

    def told(self, settings, batches):
        return (0.1 if settings else 1.0) if batches is self.judging else (2.0 if settings else 1.0)

    monkeypatch.setattr(search._Search, "_distance", told)
    tuning = prepared.tune(steps=4, trials=3, budget=600)
    assert tuning.chosen == {} and tuning.tuned == tuning.default == 1.0


def test_samples_are_used_for_one_thing_each(prepared, tuning):
    parts = split_batches(NetworkInTime(prepared.network), prepared.data, 4, None)
    rows = [np.concatenate([batch["x"] for batch in part]) for part in parts]
    assert tuning.samples == tuple(map(len, rows)) == (16, 8, 8)
    np.testing.assert_array_equal(np.concatenate(rows), prepared.data.feeds["x"])
    assert 2 * len(rows[0]) <= MOST_SAMPLES


def test_the_distance_of_a_trial_is_that_of_the_outputs(prepared, tuning):
    """On the samples that judge, compiled with the same amplitudes by fitting on the same half."""
    fitting, judging, _ = split_batches(NetworkInTime(prepared.network), prepared.data, 4, None)
    x = np.concatenate([batch["x"] for batch in judging])
    half = replace(prepared, data=type(prepared.data)({"x": np.concatenate([batch["x"] for batch in fitting])}))
    ann = ann_of(x)
    for trial in tuning.trials[:3]:
        y = Session(half.compile(steps=4, **trial.settings).model).run(x).final["y"]
        assert trial.distance == pytest.approx(np.linalg.norm(y - ann) / np.linalg.norm(ann), rel=1e-3)


def ann_of(x):
    from spikec.onnx_session import run_model

    return run_model(network("deep").model, {"x": x})["y"]


def test_distance_is_relative_over_outputs_and_batches():
    import torch

    ann, last = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0])
    assert distance({"y": [[ann, ann, last]], "z": [[torch.tensor([4.0]), torch.tensor([4.0])]]}) == pytest.approx(0.6)


def test_the_artifact_has_the_settings_and_carries_the_search(prepared, tuning):
    best = replace(tuning, chosen=tuning.trials[1].settings)
    artifact = prepared.compile(tuning=best)
    manifest = json.loads({prop.key: prop.value for prop in artifact.model.metadata_props}["spikec"])
    assert manifest["tuning"] == json.loads(json.dumps(best.as_dict()))
    options = manifest["options"]
    assert options["steps"] == 4 and {name: options[name] for name in SETTINGS} == best.chosen
    assert "tuning" not in prepared.compile(steps=4).manifest


def test_settings_of_the_user_come_before_those_found(prepared, tuning):
    best = replace(tuning, chosen=tuning.trials[1].settings)
    options = prepared.compile(tuning=best, correction=0.25, form="unrolled").manifest["options"]
    assert options["correction"] == 0.25 and options["form"] == "unrolled"
    assert options["schedule"] == best.chosen["schedule"]


def test_the_middle_of_the_space_is_the_default_preset(prepared):
    point = Space(prepared.network.neurons.values(), 8).default()
    assert point["ratio"] == fitted_ratio(8) and point["stagger"] == fitted_stagger(8)
    assert point["share"] == least_share("fit", 8) and point["correction"] == PRESETS["default"].correction
    assert point["theta unary"] == PRESETS["default"].dead_zone


def test_softmaxes_are_as_eager_as_in_the_default_preset():
    softmax = ready(name="a bias between neurons")
    point = Space(softmax.network.neurons.values(), 8).default()
    assert PRESETS["default"].early_dead_zone == f"softmax={point['theta softmax']}"


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 64, 4096])
def test_every_point_of_the_space_can_be_chosen(prepared, steps):
    space = Space(prepared.network.neurons.values(), steps)
    for point in (space.default(), *space.neighbours()):
        settings = space.suggest(optuna.trial.FixedTrial(point))
        prepared.chosen(steps=steps, **settings)
    for name, axis in space.axes.items():
        assert axis.low <= axis.default <= axis.high, name


def test_a_budget_of_time_stops_the_search(prepared):
    tuning = prepared.tune(steps=2, budget=1e-9)
    assert len(tuning.trials) == 1 and tuning.chosen == {} and tuning.tuned == tuning.default


def test_progress_hears_of_every_trial():
    heard = []
    prepared = ready()
    prepared.progress = replace(prepared.progress, trials=lambda done, best: heard.append((done, best)))
    tuning = prepared.tune(steps=2, trials=3, budget=600)
    best = np.minimum.accumulate([trial.distance for trial in tuning.trials])
    assert heard == list(zip((1, 2, 3), best, strict=True))


def test_the_csv_has_a_line_a_trial(tmp_path):
    trials = [Trial(0, {}, 0.25, 1.5), Trial(1, {"schedule": "geometric:ratio=0.7,stagger=2"}, 0.125, 2.0)]
    Tuning(4, {}, 0.5, 0.5, trials).write_csv(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["trial", "distance", "seconds", "schedule"]
    assert [row["distance"] for row in rows] == ["0.25", "0.125"]
    assert [row["schedule"] for row in rows] == ["", trials[1].settings["schedule"]]


@pytest.mark.parametrize(
    ("search", "chosen", "words"),
    [
        ({"budget": 0}, {}, "number of seconds above 0"),
        ({"budget": float("nan")}, {}, "number of seconds above 0"),
        ({"trials": 0}, {}, "1 or more"),
        ({}, {"range_rule": "max"}, "use --range-rule fit"),
        ({}, {"dynamics": "subgradient", "name": "mlp"}, "needs the dynamics signgd"),
        ({}, {"samples": 3}, "at least 4 calibration samples .*: 3"),
    ],
)
def test_refusals(search, chosen, words):
    with pytest.raises(UsageError, match=words):
        ready(**chosen).tune(steps=2, **search)


def test_a_setting_that_the_preparation_rests_on_is_refused(prepared):
    with pytest.raises(UsageError, match="granularity cannot change"):
        prepared.tune(steps=2, granularity="strict")


def test_without_optuna(prepared, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EnvironmentMissing, match=r"pip install 'spikec\[tune\]'"):
        prepared.tune(steps=2)
    assert EnvironmentMissing.exit_code == 5


def test_compile_tunes_for_so_many_seconds():
    case = network("deep")
    compiled = partial(spikec.compile, case.model, calibration=case.feeds(16)["x"], steps=3)
    found = compiled(tune=1e-9).manifest["tuning"]
    assert found["steps"] == 3 and len(found["trials"]) == 1
    assert "tuning" not in compiled().manifest
    with pytest.raises(UsageError, match="above 0"):
        compiled(tune=0)
