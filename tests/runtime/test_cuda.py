"""On a CUDA device every small network gives what the CPU gives: scans as Triton kernels, and step by step."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from spikec.runtime import Session
from spikec.runtime.torch_graph import full_precision
from tests.models.forms import STEPS, compiled
from tests.models.networks import TEXTS, network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True)
def _full_float32() -> Iterator[None]:
    """Convolutions round to TensorFloat-32 by default, which moves spikes."""
    with full_precision(torch.device("cuda")):
        yield


@pytest.mark.parametrize("evaluation", ["layers", "steps"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_cuda_device_gives_what_the_cpu_gives(name: str, evaluation: str) -> None:
    model, feeds = compiled(name, "loop").model, network(name).feeds(4)
    here = Session(model, evaluation="steps").run(feeds, STEPS)
    there = Session(model, device="cuda", evaluation=evaluation).run(feeds, STEPS)
    for output, value in here.outputs[STEPS].items():
        np.testing.assert_allclose(there.outputs[STEPS][output], value, rtol=1e-4, atol=1e-5)
    assert {n: c.total for n, c in there.spikes.items()} == {n: c.total for n, c in here.spikes.items()}


@pytest.mark.parametrize("name", TEXTS)
def test_a_recorded_graph_gives_what_the_stages_give(name: str) -> None:
    """The first call with a shape runs stage by stage, the second is recorded, the third replayed; shapes alternate."""
    model = compiled(name, "loop").model
    session = Session(model, device="cuda", evaluation="layers")
    for batch, seed in ((4, 0), (4, 1), (2, 2), (4, 3), (2, 4), (2, 5), (4, 6)):
        feeds = {key: np.roll(value, seed, axis=-1) for key, value in network(name).feeds(batch).items()}
        expected = Session(model, device="cuda", evaluation="layers").run(feeds, STEPS)
        found = session.run(feeds, STEPS)
        for output, value in expected.outputs[STEPS].items():
            np.testing.assert_allclose(found.outputs[STEPS][output], value, rtol=1e-5, atol=1e-6)
        assert {n: c.total for n, c in found.spikes.items()} == {n: c.total for n, c in expected.spikes.items()}


@pytest.mark.parametrize("name", ["deep", "attention", "residuals", "reshape by the batch"])
def test_graphs_are_recorded(name: str) -> None:
    session = Session(compiled(name, "loop").model, device="cuda", evaluation="layers")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            session.run(network(name).feeds(4), STEPS, spikes=False)
    recording = session._program._layers[False].recording
    assert not recording.refused and recording.records
    session.release()
    assert not recording.records
    session.run(network(name).feeds(4), STEPS, spikes=False)
    assert recording.records, "recorded anew at once"
