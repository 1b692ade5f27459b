"""The metrics against other implementations, and that any split of the samples gives the same."""

import math
import pickle
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import r2_score, top_k_accuracy_score

from spikec.checking.exact import ExactSums
from spikec.checking.kinds import answers, kind_of, labelled_output
from spikec.checking.metrics import accumulators
from spikec.errors import ModelError, UsageError


def _pair(shape: tuple[int, ...], seed: int = 0, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    ann = generator.standard_normal(shape).astype(np.float32)
    return ann, (ann + noise * generator.standard_normal(shape)).astype(np.float32)


def _values(kind: str, ann: np.ndarray, snn: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    found = {}
    for part in accumulators(kind):
        part.add(ann, snn, labels)
        found |= part.values()
    return found


def test_class_scores_as_scikit_learn_counts_them() -> None:
    ann, snn = _pair((500, 10), noise=1.5)
    labels = np.random.default_rng(1).integers(0, 10, 500)
    found = _values("classes", ann, snn, labels)
    expected = ann.argmax(axis=1)
    assert found["agreement"] == np.mean(expected == snn.argmax(axis=1)) < 1
    assert found["top5_agreement"] == top_k_accuracy_score(expected, snn, k=5, labels=range(10)) < 1
    assert found["accuracy"] == np.mean(snn.argmax(axis=1) == labels)
    assert found["accuracy_drop"] == pytest.approx(np.mean(expected == labels) - found["accuracy"])


def test_distances() -> None:
    ann, snn = _pair((60, 2, 5))
    found = _values("regression", ann, snn)
    left, right = ann.reshape(60, -1).astype(float), snn.reshape(60, -1).astype(float)
    cosines = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    assert found["relative_l2"] == pytest.approx(np.linalg.norm(right - left) / np.linalg.norm(left))
    assert found["cosine"] == pytest.approx(cosines.mean())
    assert found["max_abs_error"] == np.abs(right - left).max()


def test_r2_as_scikit_learn_weighs_it() -> None:
    ann, snn = _pair((200, 4))
    ann[:, 1] += 100  # a channel far from 0: its mean explains nothing of the others
    snn[:, 1] += 100
    expected = r2_score(ann.astype(float), snn.astype(float), multioutput="variance_weighted")
    assert _values("regression", ann, snn)["r2"] == pytest.approx(expected, rel=1e-9) and expected < 0.95
    column = _values("regression", ann[:, :1], snn[:, :1])["r2"]
    assert column == pytest.approx(r2_score(ann[:, 0].astype(float), snn[:, 0].astype(float)), rel=1e-9)
    assert _values("regression", ann[:, 0], snn[:, 0])["r2"] == column


def test_rank_correlation_as_scipy_finds_it() -> None:
    ann, snn = (np.round(value, 1) for value in _pair((40, 30)))  # with equal values
    expected = np.mean([spearmanr(left, right).statistic for left, right in zip(ann, snn, strict=True)])
    assert _values("embedding", ann, snn)["rank_correlation"] == pytest.approx(expected, rel=1e-9) and expected < 1


@pytest.mark.parametrize("kind", ["classes", "regression", "embedding"])
def test_equal_networks_are_perfect(kind: str) -> None:
    ann, _ = _pair((9, 7))
    found = _values(kind, ann, ann.copy())
    assert found.pop("relative_l2") == found.pop("max_abs_error") == 0
    assert set(found.values()) == {1.0} or all(value == pytest.approx(1) for value in found.values())


def test_zeros_and_constants() -> None:
    zero, one = np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32)
    assert _values("regression", zero, zero) == {"relative_l2": 0, "cosine": 1, "max_abs_error": 0, "r2": 1}
    found = _values("regression", zero, one)
    assert (found["cosine"], found["r2"], found["relative_l2"]) == (0, 0, math.sqrt(12))
    assert _values("embedding", one, one)["rank_correlation"] == 1
    assert _values("embedding", one, np.arange(12.0, dtype=np.float32).reshape(3, 4))["rank_correlation"] == 0


def test_of_equal_scores_the_first_class_counts() -> None:
    ann = np.eye(7, dtype=np.float32)[[0, 5, 6]]
    snn = np.zeros((3, 7), np.float32)  # all equal: classes 0 to 4 stand before 5 and 6
    assert _values("classes", ann, snn) | {"cosine": 0} == {
        "agreement": 1 / 3, "top5_agreement": 1 / 3, "relative_l2": 1, "cosine": 0, "max_abs_error": 1,
    }  # fmt: skip


def test_chosen_entries() -> None:
    ann, snn = np.array([[1, 2], [3, 4], [5, 6]]), np.array([[1, 9], [4, 3], [5, 6]])
    assert _values("choices", ann, snn, np.array([1, 3, 0])) == {
        "agreement": 2 / 3, "accuracy": 1 / 3, "ann_accuracy": 2 / 3, "accuracy_drop": 1 / 3,
    }  # fmt: skip
    masks = np.zeros((2, 2, 3), bool), np.ones((2, 2, 3), bool)
    masks[1][0] = False
    assert _values("choices", *masks) == {"agreement": 0.5}


def test_kinds() -> None:
    scores, one, whole = np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32), np.zeros((2, 1), np.int64)
    assert [kind_of("y", value, None) for value in (scores, one, whole, whole > 0)] == [
        "classes", "regression", "choices", "choices",
    ]  # fmt: skip
    assert kind_of("y", scores, "embedding") == "embedding"
    for value, named in ((one, "classes"), (whole, "regression")):
        with pytest.raises(UsageError, match="'y'"):
            kind_of("y", value, named)
    outputs, kinds = {"a": one, "b": scores, "c": whole}, {"a": "regression", "b": "classes", "c": "choices"}
    assert labelled_output(outputs, kinds) == "c"
    assert labelled_output({"b": scores}, kinds) == "b" and labelled_output({"a": one}, kinds) is None
    np.testing.assert_array_equal(answers(np.array([3, 4]), "choices"), [[3], [4]])


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40))
def test_sums_are_exact(values: Sequence[float]) -> None:
    sums = ExactSums()
    sums.add(np.array(values)[:, None])
    assert float(sums.totals()[0]) == math.fsum(values)


def test_sums_refuse_what_is_not_finite() -> None:
    with pytest.raises(ModelError, match="overflow"):
        ExactSums().add(np.array([[1.0], [np.inf]]))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["classes", "regression", "embedding"]),
    width=st.integers(2, 300),
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 24), max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_any_split_of_the_samples_gives_the_same(kind: str, width: int, seed: int, cuts: list[int], order) -> None:
    """To the last bit: in any number of parts, added by several processes, merged in any order."""
    ann, snn = _pair((24, width), seed)
    labels = np.random.default_rng(seed).integers(0, width, 24)
    whole = accumulators(kind)
    for part in whole:
        part.add(ann, snn, labels)
    borders = sorted({0, 24, *cuts})
    pieces = list(pairwise(borders))
    order.shuffle(pieces)
    split = list(accumulators(kind))
    for start, end in pieces:
        for mine, theirs in zip(split, accumulators(kind), strict=True):
            theirs.add(ann[start:end], snn[start:end], labels[start:end])
            mine.merge(pickle.loads(pickle.dumps(theirs)))
    assert list(whole) == split
    assert [part.values() for part in whole] == [part.values() for part in split]
