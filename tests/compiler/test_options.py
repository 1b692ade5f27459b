"""Options: defaults, presets, and what is refused with which words; the kinds of errors."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikec
from spikec import errors
from spikec.errors import UsageError
from spikec.initial_values import fitted_kinds
from spikec.options import MOST_STEPS, PRESETS, Options, from_preset, is_fit, least_share, percentile
from tests.models import tiny

DEFAULTS = {
    "steps": 32,
    "dynamics": "signgd",
    "schedule": "geometric",
    "dead_zone": 0.5,
    "early_dead_zone": "",
    "coding": "direct",
    "granularity": "composite",
    "form": "loop",
    "ranges": "every",
    "range_rule": "max",
    "range_per": "tensor",
    "initial": "zero",
    "quantisation": "staircase",
    "correction": 0.0,
    "readout": "plain",
    "seed": 0,
}
PRESET = {"range_rule": "fit", "range_per": "channel", "initial": "fit", "correction": 0.5}
PRESET |= {"early_dead_zone": "softmax=0.3"}
PAPER = {"schedule": "exponential", "dead_zone": 0.0, "coding": "float", "granularity": "strict", "ranges": "relu"}
CHOICES = {
    "dynamics": "signgd, subgradient",
    "coding": "direct, float, spike",
    "granularity": "composite, strict",
    "form": "loop, unrolled, step",
    "ranges": "every, relu",
    "range_per": "tensor, channel",
    "quantisation": "staircase, drop",
    "readout": "plain, affine",
}
INITIAL = (
    "initial is '{}'; write zero, mean, fit, or fit:KIND,... with kinds among unary, binary, many, window, row, "
    "softmax, product, encoder"
)
RULE = (
    "range rule is '{}'; write fit, fit:S with S above 0 and up to 1, max, or percentile:P with P above 0 and up to 100"
)


def refusal(**chosen):
    """What a full set of options and one over a preset say alike."""
    with pytest.raises(UsageError) as refused:
        Options(**chosen)
    with pytest.raises(UsageError) as again:
        from_preset("default", **chosen)
    assert str(again.value) == str(refused.value)
    return str(refused.value)


def test_the_presets():
    assert list(PRESETS) == ["default", "paper"]
    assert Options().as_dict() == DEFAULTS
    assert from_preset("default").as_dict() == {**DEFAULTS, **PRESET}
    assert from_preset("paper").as_dict() == {**DEFAULTS, **PAPER}


def test_settings_go_over_the_preset_and_none_stands_for_no_choice():
    found = from_preset("paper", steps=8, schedule=None, dead_zone=0.25, seed=3, form=None)
    assert found.as_dict() == {**DEFAULTS, **PAPER, "steps": 8, "dead_zone": 0.25, "seed": 3}
    assert from_preset("default", dead_zone=0.0).dead_zone == 0.0, "zero is a choice"


def test_options_cannot_be_changed_and_can_be_written_down():
    chosen = from_preset("paper", steps=5, range_rule="percentile:99.5")
    assert Options(**chosen.as_dict()) == chosen
    with pytest.raises(FrozenInstanceError):
        chosen.steps = 6


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    for value in CHOICES[name].split(", "):
        rule = "fit" if value == "affine" else "max"  # which needs a fit
        assert getattr(Options(**{name: value, "range_rule": rule}), name) == value
    assert refusal(**{name: "odd"}) == f"{name} is 'odd'; choose one of {CHOICES[name]}"


@pytest.mark.parametrize("steps", [0, -1, MOST_STEPS + 1, 2.0, "8", True, None, float("nan")])
def test_steps_that_are_no_count(steps):
    with pytest.raises(UsageError) as refused:
        Options(steps=steps)
    assert str(refused.value) == f"steps is {steps}; it must be a whole number from 1 to 4096"


@pytest.mark.parametrize("seed", [-1, 0.5, "1", True])
def test_seeds_that_are_no_seeds(seed):
    assert refusal(seed=seed) == f"seed is {seed}; it must be a whole number from 0 on"


@pytest.mark.parametrize("dead_zone", [-0.01, 1, 1.5, float("nan"), float("inf"), "0.5", True, np.float32(1)])
def test_a_dead_zone_of_a_whole_step_or_more(dead_zone):
    assert refusal(dead_zone=dead_zone) == f"the dead zone is {dead_zone}; it must be a number from 0 to below 1"


@pytest.mark.parametrize("correction", [-0.01, 1.01, float("nan"), "0.5", True, None])
def test_a_correction_of_more_than_all(correction):
    with pytest.raises(UsageError) as refused:
        Options(correction=correction)
    assert str(refused.value) == f"the correction is {correction}; it must be a number from 0 to 1"


def test_the_last_values_that_are_allowed():
    assert [Options(correction=share).correction for share in (0, 1)] == [0.0, 1.0]
    found = Options(steps=MOST_STEPS, dead_zone=np.nextafter(1.0, 0.0), seed=2**70, range_rule="percentile:100")
    assert (found.steps, found.seed) == (4096, 2**70)
    assert Options(steps=1, dead_zone=0).steps == 1


def test_integrate_and_fire_has_no_signed_events_and_starts_from_zero():
    coding, initial = refusal(dynamics="subgradient", coding="spike"), refusal(dynamics="subgradient", initial="mean")
    assert "needs signed events" in coding and coding.endswith("use coding 'direct' or 'float'")
    assert initial == "the subgradient dynamics starts from v(0) = 0; use initial 'zero'"
    assert Options(dynamics="subgradient", coding="float").coding == "float"


def test_numbers_of_numpy_become_those_of_python():
    found = Options(steps=np.int64(4), seed=np.uint8(2), dead_zone=np.float32(0.25))
    assert found == Options(steps=4, seed=2, dead_zone=0.25)
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()
    artifact = spikec.compile(tiny.mlp(), calibration=tiny.samples()["x"], options=found)
    assert artifact.manifest["options"]["dead_zone"] == 0.25


@pytest.mark.parametrize("schedule", [5, ["geometric"], np.ones(4)], ids=str)
def test_a_schedule_that_is_no_text(schedule):
    assert refusal(schedule=schedule) == f"the schedule is {schedule}; write NAME or NAME:key=value,..."


@pytest.mark.parametrize("name", CHOICES)
def test_choices_that_are_no_text(name):
    assert refusal(**{name: 5}) == f"{name} is '5'; choose one of {CHOICES[name]}"
    assert "choose one of" in refusal(**{name: np.array(["loop", "step"])})


@settings(max_examples=60, deadline=None)
@given(st.floats(min_value=0, max_value=100, exclude_min=True))
def test_percentiles_are_read_as_they_are_written(percent):
    assert percentile(f"percentile:{percent!r}") == percent <= percentile("max") == 100
    assert Options(range_rule=f"percentile:{percent!r}").range_rule == f"percentile:{percent!r}"


@pytest.mark.parametrize(
    "rule",
    [
        *("", "min", "max:99", "percentile", "percentile:-1", "percentile:1e3", "quantile:50", 5),
        *("fit:", "fit:0", "fit:1.01", "fit:-1", "fit:nan", "fit:half", "Fit"),
    ],
)
def test_range_rules_that_are_none(rule):
    assert not is_fit(rule)
    assert refusal(range_rule=rule) == RULE.format(rule)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(min_value=0, max_value=1, exclude_min=True), steps=st.integers(1, MOST_STEPS))
def test_the_least_share_that_a_fit_tries(share, steps):
    """As asked, or growing with T: few steps need the resolution more than the largest values."""
    assert least_share(Options(range_rule=f"fit:{share!r}").range_rule, steps) == share
    assert 0.2 <= least_share("fit", steps) <= least_share("fit", steps + 1) <= 0.9
    assert least_share("fit", 4096) == 0.9 and least_share("fit", 8) == 8 / 19 and least_share("fit", 1) == 0.2


def test_a_fit_starts_from_the_maximum():
    assert is_fit("fit") and is_fit("fit:0.4") and not is_fit("max") and not is_fit("percentile:99")
    assert percentile("fit") == percentile("fit:0.4") == 100


def test_names_that_are_not_there():
    with pytest.raises(UsageError) as refused:
        from_preset("odd")
    assert str(refused.value) == "there is no preset 'odd'; choose one of default, paper"
    with pytest.raises(UsageError) as refused:
        from_preset("default", step=3, steps=4, colour=None)
    assert str(refused.value) == "unknown option colour, step; see spikec.Options for the names"


def test_each_kind_of_error_has_an_exit_code_of_its_own():
    kinds = {kind: code for kind, code in vars(errors).items() if isinstance(code, type)}
    assert {name: kind.exit_code for name, kind in kinds.items()} == {
        "SpikecError": 4,
        "CheckFailed": 1,
        "UsageError": 2,
        "ModelError": 3,
        "InternalError": 4,
        "EnvironmentMissing": 5,
    }
    for name, kind in kinds.items():
        assert issubclass(kind, spikec.SpikecError) and getattr(spikec, name) is kind


@pytest.mark.parametrize("wrong", ["odd", "", "fit:", "fit:odd", "fit:unary,,row", "zero:unary", "mean:row", 5, None])
def test_initial_values_that_are_not_there(wrong):
    with pytest.raises(UsageError) as refused:
        Options(initial=wrong)
    assert str(refused.value) == INITIAL.format(wrong)


def test_initial_values_may_be_fitted_for_some_kinds():
    assert fitted_kinds("zero") == fitted_kinds("mean") == ()
    assert fitted_kinds("fit") == ("unary", "binary", "many", "window", "product", "encoder")
    assert fitted_kinds("fit:softmax,row") == ("softmax", "row")
    assert Options(initial="fit:unary").initial == "fit:unary"
