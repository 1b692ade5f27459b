"""Counting batches of two networks: in parts, in any order, and what is refused."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.checking.streams import Batch
from spikec.checking.tally import KEPT, Tally
from spikec.errors import ModelError, UsageError
from spikec.runtime import Result
from spikec.runtime.result import SpikeCount

SAMPLES = 60


def _data(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[int, dict[str, np.ndarray]], np.ndarray, np.ndarray]:
    """Outputs of both networks at two numbers of steps, labels, and images."""
    generator = np.random.default_rng(seed)
    ann = {"y": generator.standard_normal((SAMPLES, 7)), "r": generator.standard_normal((SAMPLES, 2, 3))}
    ann = {name: value.astype(np.float32) for name, value in ann.items()}
    snn = {
        t: {n: (v + generator.standard_normal(v.shape) / t).astype(np.float32) for n, v in ann.items()} for t in (1, 4)
    }
    return ann, snn, generator.integers(0, 7, SAMPLES), generator.random((SAMPLES, 3, 2, 2), np.float32)


def _add(tally: Tally, start: int, end: int, seed: int = 0) -> None:
    ann, snn, labels, images = _data(seed)
    outputs = {t: {n: v[start:end] for n, v in found.items()} for t, found in snn.items()}
    fired = np.array([start, end])
    spikes = {"neuron": SpikeCount(fired, int(fired.sum()), 100 * (end - start))}
    batch = Batch(start, {"image": images[start:end]}, labels[start:end])
    tally.add(batch, {n: v[start:end] for n, v in ann.items()}, Result(outputs, spikes))


def _tally(*spans: tuple[int, int], seed: int = 0) -> Tally:
    tally = Tally(pictures=True)
    for start, end in spans:
        _add(tally, start, end, seed)
    return tally


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, SAMPLES - 1), min_size=1, max_size=5, unique=True),
    processes=st.integers(1, 4),
    seed=st.integers(0, 50),
)
def test_processes_add_up_to_one(cuts: list[int], processes: int, seed: int) -> None:
    borders = [0, *sorted(cuts), SAMPLES]
    spans = list(pairwise(borders))
    alone = _tally(*spans, seed=seed)
    first, *others = [_tally(*spans[rank::processes], seed=seed) for rank in range(processes)]
    for other in others:
        first.merge(pickle.loads(pickle.dumps(other)))
    assert first == alone
    assert [d.sample for d in first.disagreements] == [d.sample for d in alone.disagreements]
    for disagreement in first.disagreements:
        np.testing.assert_array_equal(disagreement.picture, _data(seed)[3][disagreement.sample])


def test_a_process_without_batches_adds_nothing() -> None:
    alone, idle = _tally((0, SAMPLES)), Tally(pictures=True)
    alone.merge(Tally())
    idle.merge(_tally((0, SAMPLES)))
    assert idle == alone == _tally((0, SAMPLES))


def test_disagreements_are_the_first_ones() -> None:
    tally = _tally((0, 20), (20, SAMPLES))
    ann, snn, labels, _ = _data()
    expected = np.flatnonzero(ann["y"].argmax(1) != snn[4]["y"].argmax(1))
    assert [d.sample for d in tally.disagreements] == expected[:KEPT].tolist() and len(expected) > 3
    assert all(d.label == labels[d.sample] and d.output == "y" for d in tally.disagreements)
    rough = Tally()
    generator = np.random.default_rng(1)
    ann, snn = ({"y": generator.random((200, 9), np.float32)} for _ in range(2))
    rough.add(Batch(0, {"x": np.zeros((200, 1))}, None), ann, Result({1: snn}))
    assert len(rough.disagreements) == KEPT and rough.disagreements[0].label is None
    assert all(d.picture is None for d in rough.disagreements)


def test_kinds_as_the_user_names_them() -> None:
    ann, snn, _, _ = _data()
    tally = Tally({"y": "embedding"})
    tally.add(Batch(0, {"x": np.zeros((SAMPLES, 1))}, None), ann, Result(snn))
    assert tally.kinds == {"y": "embedding", "r": "regression"}
    assert "rank_correlation" in tally.values(4, "y") and "r2" in tally.values(4, "r")
    assert tally.disagreements == []
    with pytest.raises(UsageError, match="class scores are"):
        Tally({"r": "classes"}).add(Batch(0, {"x": np.zeros((SAMPLES, 1))}, None), ann, Result(snn))


def test_spike_rate() -> None:
    assert Tally().spike_rate == 0
    assert _tally((0, 20), (20, 50)).spike_rate == (20 + 70) / 5000


@pytest.mark.parametrize(
    ("ann", "snn", "words"),
    [
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "trained network is not finite for sample 10"),
        (np.zeros((3, 2)), np.array([[0, 0], [0, 0], [0, np.inf]]), "after 2 steps is not finite for sample 12"),
        (np.zeros((3, 2)), np.zeros((3, 4)), "has the shape"),
        (np.zeros((2, 3)), np.zeros((3, 2)), "not one row each"),
        (np.zeros(()), np.zeros(()), "not one row each"),
    ],
)
def test_outputs_that_cannot_be_compared(ann: np.ndarray, snn: np.ndarray, words: str) -> None:
    batch = Batch(10, {"x": np.zeros((3, 1))}, None)
    with pytest.raises((ModelError, UsageError), match=words):
        Tally().add(batch, {"y": ann}, Result({2: {"y": snn}}))
