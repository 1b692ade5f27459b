"""The subgradient dynamics is integrate-and-fire: threshold a, reset by subtraction, membrane 0 at the start."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import spikec
from spikec.equivalence import relative_distance
from spikec.errors import ModelError
from spikec.onnx_session import run_model
from spikec.runtime import Session
from tests.models.graphs import parse

STEPS = 24
# Schedules are stored in float32, so t times the estimate can be off by about this many amplitudes: a membrane that
# comes closer to its threshold may fire a step earlier or later.
MARGIN = 1e-5

MLP = """mlp (float[N, {0}] x) => (float[N, {3}] y) {{
  [first] a = Gemm(x, w1, b1) [act1] h = Relu(a)
  [second] b = Gemm(h, w2, b2) [act2] k = Relu(b)
  [last] y = Gemm(k, w3, b3)
}}"""
CNN = """cnn (float[N, 2, 8, 8] x) => (float[N, 3] y) {{
  [conv] a = Conv<pads = [1, 1, 1, 1]>(x, k1, c1) [act] h = {1}(a)
  [pool] p = {0}<kernel_shape = [2, 2], strides = [2, 2]>(h) [flat] f = Flatten(p) [head] y = Gemm(f, w, b)
}}"""


class Neurons:
    """A layer of integrate-and-fire neurons; ``closest`` is how near any membrane ever came to the threshold."""

    def __init__(self, threshold):
        self.threshold, self.membrane, self.closest = threshold, 0.0, np.inf

    def __call__(self, current):
        self.membrane = self.membrane + current
        self.closest = min(self.closest, np.abs(self.membrane / self.threshold - 1).min())
        spikes = self.membrane >= self.threshold
        self.membrane = self.membrane - self.threshold * spikes
        return spikes


def random_mlp(generator, widths):
    layers = list(pairwise(widths))
    weights = {f"w{i}": generator.standard_normal(pair) / np.sqrt(pair[0]) for i, pair in enumerate(layers, 1)}
    weights |= {f"b{i}": 0.3 * generator.standard_normal(after) for i, (_, after) in enumerate(layers, 1)}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def rate_coded(weights, thresholds, x):
    """(spikes of both layers, mean output so far) after each step, and the layers."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    first, second = layers = [Neurons(threshold) for threshold in thresholds]
    found, total = [], 0.0
    for t in range(1, STEPS + 1):
        early = first(x.astype(np.float64) @ w["w1"] + w["b1"])
        late = second(thresholds[0] * early @ w["w2"] + w["b2"])
        total = total + thresholds[1] * late @ w["w3"] + w["b3"]
        found.append((early, late, total / t))
    return found, layers


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.tuples(*[st.integers(2, 6)] * 4),
    rule=st.sampled_from(["max", "percentile:90"]),
)
def test_it_is_integrate_and_fire_spike_for_spike(seed, widths, rule):
    generator = np.random.default_rng(seed)
    weights, samples = random_mlp(generator, widths), generator.standard_normal((18, widths[0])).astype(np.float32)
    artifact = spikec.compile(
        parse(MLP.format(*widths), **weights),
        calibration=samples[2:],
        dynamics="subgradient",
        range_rule=rule,
        range_per="tensor",
        steps=STEPS,
    )
    thresholds = [row["amplitude"][0] for row in artifact.manifest["neurons"]]
    assume(min(thresholds) > 0)
    expected, layers = rate_coded(weights, thresholds, samples[:2])
    assume(min(layer.closest for layer in layers) > MARGIN)
    steps = Session(artifact.model, precision="float64").stream(samples[:2])
    for step, (early, late, output) in zip(steps, expected, strict=True):
        np.testing.assert_array_equal(step.spikes["act1"], early, err_msg=f"first layer, step {step.t}")
        np.testing.assert_array_equal(step.spikes["act2"], late, err_msg=f"second layer, step {step.t}")
        np.testing.assert_allclose(step.outputs["y"], output, rtol=1e-5, atol=1e-5)


def convolutional(pool, activation="Relu"):
    generator = np.random.default_rng(0)
    shapes = {"k1": (4, 2, 3, 3), "c1": (4,), "w": (64, 3), "b": (3,)}
    weights = {name: (0.3 * generator.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    return parse(CNN.format(pool, activation), **weights), generator.standard_normal((8, 2, 8, 8)).astype(np.float32)


def test_a_fit_leaves_integrate_and_fire_the_range_of_each_channel():
    model, x = convolutional("AveragePool")
    asked = {"calibration": x, "dynamics": "subgradient", "steps": 4}
    fitted, simple = (spikec.compile(model, range_rule=rule, **asked) for rule in ("fit", "max"))
    assert fitted.manifest["neurons"] == simple.manifest["neurons"] and fitted.model.graph == simple.model.graph
    assert [(row["amplitudes"], row["error"]) for row in fitted.manifest["neurons"]] == [(4, None)]


def test_average_pooling_is_part_of_the_weights():
    model, x = convolutional("AveragePool")
    artifact = spikec.compile(model, calibration=x, dynamics="subgradient", steps=256)
    session = Session(artifact.model)
    assert [neuron.name for neuron in session.manifest.neurons] == ["act"]
    outputs = session.run(x, [32, 256]).outputs
    distances = [relative_distance(outputs[t]["y"], run_model(model, {"x": x})["y"]) for t in (32, 256)]
    assert distances[1] < 0.02
    assert distances[1] < distances[0] / 4  # rate coding: the error falls like 1/T


@pytest.mark.parametrize(
    ("pool", "activation", "message"),
    [
        ("MaxPool", "Relu", r"node 'pool.*integrate-and-fire neuron can only be a ReLU.*use average pooling"),
        ("AveragePool", "Sigmoid", r"node 'act'.*integrate-and-fire neuron can only be a ReLU.*--dynamics signgd"),
    ],
)
def test_all_but_relu_is_refused_by_name(pool, activation, message):
    model, x = convolutional(pool, activation)
    with pytest.raises(ModelError, match=message):
        spikec.compile(model, calibration=x, dynamics="subgradient", steps=8)


def test_a_refusal_names_the_operator_as_the_file_does():
    nodes = "a = MatMul(x, w) sq = Mul(a, a) y = MatMul(sq, w)"
    model = parse(f"g (float[N, 4] x) => (float[N, 4] y) {{ {nodes} }}", w=np.eye(4, dtype=np.float32))
    with pytest.raises(ModelError, match=r"node 'sq' \(Mul\): an integrate-and-fire neuron"):
        spikec.compile(model, calibration=np.ones((2, 4), np.float32), dynamics="subgradient")
