"""Rules on hand-made standings, and what is refused."""

import numpy as np
import pytest

from spikec.runtime import Certified, InputError, Margin, Stability, parse_rule
from spikec.runtime.exit_record import Record
from spikec.runtime.exit_rules import Standing, class_output, classes, score_output

SCORES = np.array([[3.0, 1.0, 0.0], [1.0, 1.5, 1.0], [0.0, 0.0, 2.0]])
STANDING = Standing(np.array([0, 2, 3]), lambda: SCORES, lambda: np.array([False, False, True]))


@pytest.mark.parametrize(
    ("rule", "finished"),
    [
        (Stability(1), [False, True, True]),
        (Stability(3), [False, False, True]),
        (Margin(0.5), [True, True, True]),
        (Margin(2), [True, False, True]),
        (Margin(2.1), [False, False, False]),
        (Certified(), [False, False, True]),
    ],
)
def test_who_is_finished(rule, finished):
    assert rule.finished(STANDING).tolist() == finished


def test_rules_are_written_as_words():
    assert parse_rule("stability:3") == Stability(3)
    assert parse_rule("margin:2.5") == Margin(2.5)
    assert parse_rule("certified") == Certified()


@pytest.mark.parametrize(
    "text", ["", "stability", "stability:x", "stability:0", "margin:", "margin:0", "margin:nan", "certified:1", "best"]
)
def test_other_words_are_refused(text):
    with pytest.raises(InputError):
        parse_rule(text)


def test_the_class_stands_in_whole_numbers_or_else_in_scores():
    picture, scores, best = np.zeros((2, 3, 4)), np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[1, 0], [0, 1]])
    assert class_output({"p": picture, "s": scores, "b": best}) == "b"
    assert score_output({"p": picture, "b": best, "s": scores}) == "s"
    assert class_output({"p": picture, "s": scores}) == "s"
    assert classes(scores).tolist() == classes(best).tolist() == classes(best[:, 0]).tolist() == [1, 0]
    with pytest.raises(InputError, match=r"no output holds class scores .*'p' float64 \(2, 3, 4\)"):
        class_output({"p": picture})


def test_a_record_counts_the_steps_without_a_change():
    record = Record(3)
    for seen, unchanged in (([0, 1, 2], [0, 0, 0]), ([0, 2, 2], [1, 0, 1]), ([0, 2, 1], [2, 1, 0])):
        record.see(np.array(seen))
        assert record.unchanged.tolist() == unchanged


def test_samples_leave_with_their_own_rows():
    record = Record(3)
    record.see(np.array([5, 6, 7]))
    record.leave({"y": np.array([[1.0], [2.0], [3.0]])}, np.array([False, True, False]), 1)
    record.see(np.array([5, 8]))
    assert record.unchanged.tolist() == [1, 0], "the first and the third sample"
    record.leave({"y": np.array([[4.0], [5.0]])}, np.array([True, True]), 2)
    assert record.outputs["y"].tolist() == [[4], [2], [5]]
    assert record.steps.tolist() == [2, 1, 2]
