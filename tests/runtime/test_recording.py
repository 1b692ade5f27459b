"""Recorded graphs, with a stand-in for those of CUDA: it computes anew into the memory of its first results."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from spikec.runtime import Session, Stability, recording
from spikec.runtime.recording import MOST_RECORDS, RecordedGraph, Recording
from spikec.runtime.torch_ops.by_shape import by_shape
from tests.models.forms import STEPS, compiled
from tests.models.networks import TEXTS, network

Tensor = torch.Tensor


def stand_in(body: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    found = body()

    def launch() -> None:
        pairs = zip(tree_leaves(found), tree_leaves(body()), strict=True)
        for old, new in pairs:
            if isinstance(old, Tensor):
                old.copy_(new)

    return found, launch


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is recorded, on the CPU."""
    monkeypatch.setattr(recording, "recordable", lambda given: True)
    monkeypatch.setattr(recording, "capture", stand_in)


def recordings(session: Session) -> list[Any]:
    """The records of each way that the session has evaluated in."""
    made = [*session._program.engine._recorded, *getattr(session._program, "_layers", {}).values()]
    return [one.recording.records for one in made]


@pytest.mark.parametrize("evaluation", ["steps", "layers"])
@pytest.mark.parametrize("name", TEXTS)
def test_graphs_give_what_steps_give(name: str, evaluation: str, recorded: None, monkeypatch: Any) -> None:
    """Batches of two shapes in turn, other numbers of steps, and samples that differ from call to call."""
    monkeypatch.setattr("spikec.runtime.evaluation.can_compile", lambda device: False)
    monkeypatch.setattr("spikec.runtime.layers.layerwise.MOST_UNROLLED", {"cpu": 2})  # more stretches than one
    model = compiled(name, "loop").model
    session, plain = Session(model, evaluation=evaluation), Session(model, "onnxruntime")
    for batch, seed, steps in ((4, 0, STEPS), (2, 1, 2), (4, 2, [1, STEPS]), (2, 3, STEPS), (4, 4, 1)):
        feeds = {key: np.roll(value, seed, axis=-1) for key, value in network(name).feeds(batch).items()}
        found, expected = session.run(feeds, steps), plain.run(feeds, steps)
        for t, outputs in expected.outputs.items():
            for output, value in outputs.items():
                np.testing.assert_allclose(found.outputs[t][output], value, rtol=1e-4, atol=1e-5)
        assert {n: c.total for n, c in found.spikes.items()} == {n: c.total for n, c in expected.spikes.items()}
    assert any(recordings(session)) == bool(session.manifest.neurons)


def test_a_stream_of_recorded_steps_keeps_what_it_gave(recorded: None) -> None:
    model, feeds = compiled("residuals", "loop").model, network("residuals").feeds(4)
    found, expected = (list(Session(model, engine).stream(feeds)) for engine in ("torch", "onnxruntime"))
    for one, other in zip(found, expected, strict=True):
        assert all(np.array_equal(one.spikes[name], spikes) for name, spikes in other.spikes.items())
        for output, value in other.outputs.items():
            np.testing.assert_allclose(one.outputs[output], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("evaluation", ["steps", "layers"])
def test_release_drops_the_graphs_and_the_next_run_records_anew(
    evaluation: str, recorded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikec.runtime.evaluation.can_compile", lambda device: False)
    session = Session(compiled("deep", "loop").model, evaluation=evaluation)
    session.release()
    for _ in range(2):
        session.run(network("deep").feeds(4), STEPS)
    assert any(recordings(session))
    session.release()
    assert not any(recordings(session))
    session.run(network("deep").feeds(4), STEPS)
    assert any(recordings(session))


def test_early_exit_records_nothing(recorded: None) -> None:
    session = Session(compiled("deep", "loop").model, evaluation="steps")
    session.run_until(network("deep").feeds(4), Stability(2))
    assert not session._program.engine._recorded


def test_an_input_that_is_passed_on_is_not_overwritten_by_the_next_call(recorded: None) -> None:
    """A delay: each state becomes what the one before it was."""
    graph = RecordedGraph(lambda tensors: {"a": tensors["x"] + 1, "b": tensors["a"], "c": tensors["b"] * 1})
    a, b, seen = torch.zeros(2), torch.zeros(2), []
    for x in range(6):
        found = graph({"a": a, "b": b, "x": torch.full((2,), float(x))})
        a, b = found["a"], found["b"]
        seen.append(found["c"][0].item())
    assert seen == [0, 0, 1, 2, 3, 4]


def test_inputs_recorded_without_their_repetitions_are_recorded_anew_when_they_differ(recorded: None) -> None:
    twice: Recording[Tensor] = Recording("")
    row, whole = torch.ones(1, 3).expand(4, 3), torch.arange(12.0).reshape(4, 3)
    for given in (row, row, row, whole, whole, row, whole):
        assert torch.equal(twice("key", [given], lambda tensors: tensors[0] * 2), given * 2)
    (record,) = twice.records.values()
    assert record.inputs[0].shape == (4, 3)


def test_few_graphs_are_kept(recorded: None) -> None:
    twice: Recording[Tensor] = Recording("")
    for size in (1, 2, 3):
        for _ in range(3):
            assert twice("key", [torch.ones(size)], lambda tensors: tensors[0] * 2).shape == (size,)
    assert len(twice.records) == MOST_RECORDS


def test_a_graph_holds_what_caches_by_shape_gave(recorded: None) -> None:
    cached = by_shape(1)(lambda size: torch.arange(size))
    work: Recording[Tensor] = Recording("")
    for _ in range(2):
        work("key", [torch.ones(3)], lambda tensors: tensors[0] + cached(3))
    (record,) = work.records.values()
    assert any(kept is cached(3) for kept in record.kept)


def test_what_no_graph_can_hold_is_told_once_and_still_computed(
    recorded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(body: Callable[[], Any]) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(recording, "capture", refuses)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    graph = RecordedGraph(lambda tensors: {"y": tensors["x"] * 2})
    graph({"x": torch.ones(2)})
    with pytest.warns(UserWarning, match="operator by operator, because no CUDA graph can hold it: operation not perm"):
        assert torch.equal(graph({"x": torch.ones(2)})["y"], torch.full((2,), 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph({"x": torch.ones(2)})
