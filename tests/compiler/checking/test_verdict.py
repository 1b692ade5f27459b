"""Values held against thresholds, without any network."""

from dataclasses import replace

import pytest

from spikec.checking.result import outcome
from spikec.checking.threshold_keys import BY_METRIC, KEYS
from spikec.checking.thresholds import Identity, Line, Scope, Thresholds
from spikec.checking.verdict import FAILED, FREE, PASSED, SKIPPED, Measurement, judge, tightest
from spikec.errors import UsageError

IDENTITY = Identity(("m.onnx", "a.spk"), ("a" * 64, "b" * 64))
ROWS = [
    Measurement("y", 8, "classes", "agreement", 0.9),
    Measurement("y", 8, "classes", "relative_l2", 0.2),
    Measurement("r", 8, "regression", "relative_l2", 0.1),
    Measurement("r", 8, "regression", "r2", 0.97),
    Measurement("y", 16, "classes", "agreement", 0.99),
    Measurement("y", 16, "classes", "relative_l2", 0.02),
    Measurement("r", 16, "regression", "relative_l2", 0.01),
    Measurement("r", 16, "regression", "r2", 0.999),
    Measurement(None, 16, None, "spike_rate", 0.25),
]


def _judged(*lines: Line, labels: bool = False) -> list[Measurement]:
    return judge(ROWS, Thresholds(lines, "t.toml"), IDENTITY, whole=16, labels=labels)


def _verdicts(rows: list[Measurement]) -> dict[tuple[str | None, int, str], str]:
    return {(row.output, row.steps, row.metric): row.verdict for row in rows if row.verdict != FREE}


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("min_agreement", 0.99, PASSED),
        ("min_agreement", 0.990001, FAILED),
        ("max_relative_l2", 0.02, PASSED),
        ("max_relative_l2", 0.019999, FAILED),
    ],
)
def test_a_value_on_its_threshold_passes(key: str, value: float, verdict: str) -> None:
    rows = _judged(Line(Scope(output="y", steps=16), key, value))
    assert _verdicts(rows) == {("y", 16, KEYS[key].metric): verdict}


def test_the_network_as_a_whole() -> None:
    assert _verdicts(_judged(Line(Scope(steps=16), "max_spike_rate", 0.2))) == {(None, 16, "spike_rate"): FAILED}
    rows = _judged(Line(Scope(), "max_spike_rate", 0.25))
    assert _verdicts(rows) == {(None, 16, "spike_rate"): PASSED, (None, 8, "spike_rate"): SKIPPED}


def test_defaults_skip_what_an_output_has_not() -> None:
    rows = _judged(Line(Scope(), "min_r2", 0.98))
    assert _verdicts(rows) == {
        ("r", 8, "r2"): FAILED, ("r", 16, "r2"): PASSED, ("y", 8, "r2"): SKIPPED, ("y", 16, "r2"): SKIPPED,
    }  # fmt: skip
    notes = {row.note for row in rows if row.verdict == SKIPPED}
    assert notes == {"r2 is for outputs of kind regression, this one is of kind classes"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (Line(Scope(output="y"), "min_r2", 0.5), "of kind regression"),
        (Line(Scope(output="r"), "min_agreement", 0.5), "of kind classes or choices"),
        (Line(Scope(), "min_accuracy", 0.5), "no labels"),
        (Line(Scope(model="m.onnx"), "max_accuracy_drop", 0.5), "no labels"),
        (Line(Scope(output="y"), "min_top5_agreement", 0.5), "only 5 classes or fewer"),
    ],
)
def test_what_is_asked_for_by_name_has_to_be_there(line: Line, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        _judged(line)
    assert line.key in str(caught.value) and str(line.scope) in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        Line(Scope(model="other.onnx"), "min_agreement", 0.5),
        Line(Scope(steps=4), "min_agreement", 0.5),
        Line(Scope(), "min_rank_correlation", 0.5),  # no output is an embedding
        Line(Scope(), "kind", "classes"),
    ],
)
def test_a_file_that_asks_for_nothing_here_is_an_error(line: Line) -> None:
    with pytest.raises(UsageError, match=r"no threshold \(t.toml\) applies after 8, 16 steps"):
        _judged(line)


def test_what_is_built_in_counts_at_the_artifacts_steps() -> None:
    rows = judge(ROWS, Thresholds(), IDENTITY, whole=16, labels=False)
    assert _verdicts(rows) == {("y", 16, "agreement"): PASSED, ("r", 16, "relative_l2"): PASSED}
    assert {row.origin for row in rows if row.threshold is not None} == {"built in"}
    with pytest.raises(UsageError, match="ask for --steps 32"):
        judge(ROWS, Thresholds(), IDENTITY, whole=32, labels=False)


def test_judging_again_forgets_the_first_judgement() -> None:
    first = _judged(Line(Scope(), "min_r2", 0.9999), Line(Scope(), "min_agreement", 1.0))
    again = judge(
        first, Thresholds((Line(Scope(), "max_relative_l2", 1.0),), "u.toml"), IDENTITY, whole=16, labels=False
    )
    assert set(_verdicts(again).values()) == {PASSED} and len(again) == len(ROWS)
    assert again == _judged(Line(Scope(), "max_relative_l2", 1.0))


def test_failures_are_told_in_full() -> None:
    rows = _judged(Line(Scope(), "min_agreement", 0.95), Line(Scope(steps=8), "max_relative_l2", 0.05))
    told = [row.failure for row in rows if row.verdict == FAILED]
    assert told == [
        "agreement of 'y' after 8 steps is 0.9, below min_agreement = 0.95 (defaults)",
        "relative_l2 of 'y' after 8 steps is 0.2, above max_relative_l2 = 0.05 (steps.8)",
        "relative_l2 of 'r' after 8 steps is 0.1, above max_relative_l2 = 0.05 (steps.8)",
    ]
    assert outcome(rows) == {"status": "failed", "reason": f"{told[0]}, and 2 more", "exit_code": 1}
    assert outcome([replace(row, verdict=PASSED) for row in rows]) == {"status": "passed", "reason": "", "exit_code": 0}


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("agreement", 1937 / 2000, 0.9685),
        ("agreement", 2 / 3, 0.666666),
        ("agreement", 1.0, 1.0),
        ("relative_l2", 2 / 3, 0.666667),
        ("relative_l2", 0.0, 0.0),
        ("relative_l2", 1.23456789e-7, 1.23457e-7),
        ("max_abs_error", 1234567.8, 1234570.0),
        ("accuracy_drop", -2 / 3, -0.666666),
        ("r2", -2 / 3, -0.666667),
    ],
)
def test_the_tightest_threshold_in_six_digits(metric: str, value: float, expected: float) -> None:
    assert tightest(value, BY_METRIC[metric]) == expected


def test_every_metric_with_a_threshold_has_one_key() -> None:
    assert len(BY_METRIC) == len(KEYS)
    assert all(name.startswith("min_" if key.least else "max_") for name, key in KEYS.items())
