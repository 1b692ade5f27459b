"""Every way to evaluate an artifact gives the numbers of step by step in float64, on every small network."""

import numpy as np
import pytest

from spikec.runtime import Session
from spikec.runtime.counting import Counter
from spikec.runtime.evaluation import can_compile
from spikec.runtime.layers import Layerwise
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS, compiled
from tests.models.networks import TEXTS, network
from tests.runtime.engines import parts_of

VARIANTS = {
    "ternary": {},
    "binary": {"dead_zone": 0.0},
    "strict": {"granularity": "strict"},
    "float encoder": {"coding": "float"},
    "amplitude per channel": {"range_rule": "max", "range_per": "channel"},
}
CASES = [(name, "ternary") for name in TEXTS] + [
    (name, variant)
    for name in ("deep", "dense", "neuron fed by a neuron")
    for variant in VARIANTS
    if variant != "ternary"
]
STEPS_ASKED = [1, 3, STEPS]


def evaluated(kind, name, variant, precision="float64", **settings):
    """Outputs and spike counts of a network, as this way of evaluation finds them."""
    parts = parts_of(name, **VARIANTS[variant])
    program = kind(parts, TorchBackend(parts, "cpu", precision), **settings)
    counter = Counter(parts.manifest.neurons)
    return program.run(network(name).feeds(4), STEPS_ASKED, counter, 4), counter.counts()


@pytest.mark.parametrize("budget", [1, 1 << 30], ids=["a step at a time", "all steps at once"])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_layer_by_layer_gives_what_step_by_step_gives(name, variant, budget):
    expected, counted = evaluated(Stepwise, name, variant)
    found, counts = evaluated(Layerwise, name, variant, budget=budget)
    for t in STEPS_ASKED:
        for output, value in expected[t].items():
            assert found[t][output].dtype == value.dtype
            np.testing.assert_allclose(found[t][output], value, rtol=1e-9, atol=1e-12)
    assert counts.keys() == counted.keys()
    for neuron, count in counted.items():
        assert (counts[neuron].total, counts[neuron].slots) == (count.total, count.slots)
        np.testing.assert_array_equal(counts[neuron].per_neuron, count.per_neuron)


def test_neurons_that_forget():
    parts, feeds = parts_of("mlp", dynamics="subgradient"), network("mlp").feeds(3)
    one, other = (kind(parts, TorchBackend(parts, "cpu", "float64")) for kind in (Stepwise, Layerwise))
    expected, found = (program.run(feeds, [STEPS], None, 3)[STEPS]["y"] for program in (one, other))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.skipif(not can_compile("cpu"), reason="torch.compile needs a C++ compiler on this machine")
@pytest.mark.parametrize("name", ["deep", "dense", "neuron fed by a neuron"])
def test_compiled_scans_give_what_the_operators_give(name):
    expected, counted = evaluated(Layerwise, name, "ternary", "float32")
    found, counts = evaluated(Layerwise, name, "ternary", "float32", compiled=True)
    for output, value in expected[STEPS].items():
        np.testing.assert_allclose(found[STEPS][output], value, rtol=1e-5, atol=1e-6)
    assert {n: c.total for n, c in counts.items()} == {n: c.total for n, c in counted.items()}


@pytest.mark.parametrize(("form", "backend"), [("loop", "onnxruntime"), ("step", "torch"), ("unrolled", "torch")])
@pytest.mark.parametrize("name", TEXTS)
def test_sessions_agree(name, form, backend):
    feeds = network(name).feeds(4)
    reference = Session(compiled(name, form).model, evaluation="steps").run(feeds, STEPS_ASKED, spikes=False)
    found = Session(compiled(name, form).model, backend).run(feeds, STEPS_ASKED, spikes=False)
    for t in STEPS_ASKED:
        for output, value in reference.outputs[t].items():
            np.testing.assert_allclose(found.outputs[t][output], value, rtol=1e-4, atol=1e-5)
