"""Products of spikes, as integers, with weights in planes of 8 bits: what float32 gives, and what one plane costs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import spikec
from spikec.runtime import DeviceError, Session, integers
from spikec.runtime.counting import Counter
from spikec.runtime.integers import weight_planes
from spikec.runtime.layers import Layerwise
from spikec.runtime.layers.integer_products import planes_of, product_of
from spikec.runtime.layers.integer_spikes import DOMAIN, with_integer_spikes
from spikec.runtime.parts import take_apart
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS
from tests.models.graphs import normal, parse
from tests.models.networks import TEXTS, network
from tests.runtime.engines import parts_of

CPU = torch.device("cpu")
VARIANTS = {"ternary": {}, "binary": {"dead_zone": 0.0}, "channels": {"range_rule": "max", "range_per": "channel"}}
CODED = ("deep", "dense", "mlp")


@pytest.fixture(autouse=True)
def a_cpu_that_adds_products_of_bytes(monkeypatch):
    """The same numbers come out of any CPU, only slower."""
    monkeypatch.setattr(integers, "_adds_products_of_bytes", lambda: True)


def evaluated(kind, parts, feeds, precision="float32"):
    program, counter = kind(parts, TorchBackend(parts, "cpu", precision)), Counter(parts.manifest.neurons)
    return program.run(feeds, [STEPS], counter, 4)[STEPS], counter.counts(), program


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", TEXTS)
def test_three_planes_give_what_float32_gives(name, variant):
    parts, feeds = parts_of(name, **VARIANTS[variant]), network(name).feeds(4)
    expected, counted, _ = evaluated(Stepwise, parts, feeds)
    found, counts, program = evaluated(Layerwise, parts, feeds)
    for output, value in expected.items():
        np.testing.assert_allclose(found[output], value, rtol=1e-4, atol=1e-5)
    assert {n: c.total for n, c in counts.items()} == {n: c.total for n, c in counted.items()}
    assert program.spikes.products or name not in CODED


@pytest.mark.parametrize("name", CODED)
def test_int8_is_near(name):
    parts, feeds = parts_of(name), network(name).feeds(4)
    expected, _, _ = evaluated(Layerwise, parts, feeds)
    found, _, program = evaluated(Layerwise, parts, feeds, "int8")
    assert all(len(node.output) == 1 for node in program.spikes.parts.step if node.domain == DOMAIN)
    distance = np.linalg.norm(found["y"] - expected["y"]) / np.linalg.norm(expected["y"])
    assert 0 < distance < 0.1


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 6),
    exponent=st.integers(-20, 20),
    count=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
def test_planes_add_up_to_the_weight(rows, columns, exponent, count, seed):
    weight = torch.from_numpy(normal(rows, columns, seed=seed).astype(np.float64)) * 10.0**exponent
    planes = planes_of(weight, count)
    total = sum(scale.double()[:, None] * plane.double() for plane, scale in planes)
    allowed = weight.abs().amax(1, keepdim=True) * (254.0**-count + (count > 2) * 2.0**-30)
    assert (total - weight).abs().le(allowed * 1.01).all()
    assert all(plane.dtype == torch.int8 and plane.abs().max() <= 127 for plane, _ in planes)


def test_weights_of_nothing_are_nothing():
    assert all(not plane.any() and scale.isfinite().all() for plane, scale in planes_of(torch.zeros(2, 3).double(), 3))


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(1, 5), filters=st.integers(1, 5), size=st.integers(3, 6), kernel=st.integers(1, 3),
    stride=st.integers(1, 2), pad=st.integers(0, 1), dilation=st.integers(1, 2), per_channel=st.booleans(),
    seed=st.integers(0, 2**16),
)  # fmt: skip
def test_a_convolution_of_codes(channels, filters, size, kernel, stride, pad, dilation, per_channel, seed):
    if dilation * (kernel - 1) >= size + 2 * pad:
        return
    random = np.random.default_rng(seed)
    weight = torch.from_numpy(normal(filters, channels, kernel, kernel, seed=seed))
    amplitude = torch.from_numpy(random.uniform(0.1, 3, (channels, 1, 1) if per_channel else ()).astype(np.float32))
    spikes = torch.from_numpy(random.integers(-1, 2, (2, channels, size, size)))
    how = {"strides": [stride] * 2, "pads": [pad] * 4, "dilations": [dilation] * 2}
    product = product_of(helper.make_node("Conv", ["e", "w"], ["y"], **how), {"w": weight}, amplitude, 3)
    expected = torch.nn.functional.conv2d(
        (spikes * amplitude).double(), weight.double(), None, stride, pad, dilation
    )  # fmt: skip
    found = sum(product((spikes + 1).to(torch.uint8))[::-1])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings_", [{}, {"transB": 1}, {"alpha": 0.5}], ids=str)
@pytest.mark.parametrize("amplitude", [0.7, [0.3, 1.0, 2.0, 0.1], [[0.3, 1.0, 2.0, 0.1]]], ids=str)
def test_a_matrix_product_of_codes(settings_, amplitude):
    weight = torch.from_numpy(normal(3, 4) if settings_.get("transB") else normal(4, 3))
    spikes = torch.randint(-1, 2, (5, 4))
    amplitude = torch.tensor(amplitude)
    product = product_of(helper.make_node("Gemm", ["e", "w"], ["y"], **settings_), {"w": weight}, amplitude, 3)
    matrix = weight.t() if settings_.get("transB") else weight
    expected = (spikes * amplitude).double() @ matrix.double() * settings_.get("alpha", 1.0)
    np.testing.assert_allclose(sum(product((spikes + 1).to(torch.uint8))), expected, rtol=1e-5, atol=1e-6)


KERNEL = torch.ones(4, 4, 3, 3)
LEFT = {
    "weights that are made": ("MatMul", {}, {}, torch.tensor(1.0)),
    "a convolution by channel": ("Conv", {"group": 4}, {"w": KERNEL[:, :1]}, torch.tensor(1.0)),
    "pads that differ": ("Conv", {"pads": [0, 0, 1, 1]}, {"w": KERNEL}, torch.tensor(1.0)),
    "pads that are found": ("Conv", {"auto_pad": "SAME_UPPER"}, {"w": KERNEL}, torch.tensor(1.0)),
    "a convolution over time": ("Conv", {}, {"w": KERNEL[..., 0]}, torch.tensor(1.0)),
    "an amplitude for each place": ("Conv", {}, {"w": KERNEL}, torch.ones(4, 5, 5)),
    "a product by columns": ("Gemm", {"transA": 1}, {"w": KERNEL[0, 0]}, torch.tensor(1.0)),
    "an amplitude for each row": ("MatMul", {}, {"w": KERNEL[0, 0]}, torch.ones(5, 1)),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_left_as_it_is(case):
    operator, settings_, constants, amplitude = LEFT[case]
    assert product_of(helper.make_node(operator, ["e", "w"], ["y"], **settings_), constants, amplitude, 3) is None


def test_graded_events_are_no_integers():
    parts = parts_of("deep", coding="float")
    spikes = with_integer_spikes(parts, TorchBackend(parts, "cpu", "float32").constants, 3)
    graded = {neuron.event for neuron in parts.manifest.neurons if neuron.kind == "encoder"}
    assert graded.isdisjoint(spikes.codes)
    assert spikes.codes


def test_neurons_that_forget_send_integers_too():
    parts, feeds = parts_of("mlp", dynamics="subgradient"), network("mlp").feeds(4)
    expected, _, _ = evaluated(Stepwise, parts, feeds)
    found, _, program = evaluated(Layerwise, parts, feeds)
    assert program.spikes.products
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-4, atol=1e-5)


def test_where_integers_are_not_served(monkeypatch):
    assert weight_planes("float32", torch.device("cuda")) == 0
    with pytest.raises(DeviceError, match="device cuda does not have; use bfloat16 or float32"):
        weight_planes("int8", torch.device("cuda"))
    monkeypatch.setattr(integers, "_adds_products_of_bytes", lambda: False)
    assert weight_planes("float32", CPU) == 0
    assert weight_planes("int8", CPU) == 1


def test_int8_without_a_product_of_spikes_is_told():
    model = parse("g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")
    artifact = spikec.compile(model, calibration={"x": normal(8, 4)}, steps=4).model
    with pytest.warns(UserWarning, match="precision int8 is float32 here"):
        Session(artifact, precision="int8")
    assert not Layerwise(take_apart(artifact), TorchBackend(take_apart(artifact), "cpu", "int8")).spikes.products
