"""Extremes, means, percentiles and amplitudes equal those of numpy."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import numpy_helper

import spikec
from spikec.calibration.channels import amplitude_shape
from spikec.calibration.data import Dataset
from spikec.calibration.statistics import Observer
from spikec.errors import ModelError
from spikec.onnx_session import run_model
from tests.models import tiny

BINS = 2048
# more samples than a batch holds, with values that are exact in float32
SAMPLES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 70), st.integers(1, 4), st.integers(1, 3)),
    elements=st.floats(-1000, 1000, width=32),
)
AXES = st.sampled_from([None, 1, 2])
PASSING = onnx.parser.parse_model(
    '<ir_version: 9, opset_import: ["": 20]> g (float[N, C, L] x) => (float[N, C, L] v) { v = Identity(x) }'
)


def _observer(values: np.ndarray, axis: int | None) -> Observer:
    return Observer(PASSING, {"v": axis}, Dataset({"x": values}), None, lambda done, total: None)


def _rows(values: np.ndarray, axis: int | None) -> np.ndarray:
    return values.reshape(1, -1) if axis is None else np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


@settings(max_examples=60, deadline=None)
@given(values=SAMPLES, axis=AXES)
def test_extremes_and_means(values: np.ndarray, axis: int | None) -> None:
    found, rows = _observer(values, axis).statistics()["v"], _rows(values, axis).astype(np.float64)
    assert (found.axis, found.rank) == (axis, 3)
    np.testing.assert_array_equal(found.low, rows.min(axis=1))
    np.testing.assert_array_equal(found.high, rows.max(axis=1))
    np.testing.assert_allclose(found.mean, rows.mean(axis=1), rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(values=SAMPLES, axis=AXES, percent=st.sampled_from([12.5, 50.0, 75.0, 99.0, 100.0]), centred=st.booleans())
def test_percentiles(values: np.ndarray, axis: int | None, percent: float, centred: bool) -> None:
    rows = _rows(values, axis).astype(np.float64)
    centre = rows.mean(axis=1) if centred else np.zeros(len(rows))
    distance = np.abs(rows - centre[:, None])
    top = distance.max(axis=1)
    found = _observer(values, axis).percentiles({"v": centre}, {"v": top}, percent)["v"]
    expected = np.percentile(distance, percent, axis=1, method="inverted_cdf")
    rounding = 1e-6 * top  # a value at the edge between two bins may fall into either
    assert (found >= expected - rounding).all()
    assert (found <= expected + top / BINS + rounding).all()
    if percent == 100:
        np.testing.assert_allclose(found, top)


def test_values_that_are_not_finite_are_refused() -> None:
    values = np.zeros((40, 1, 1), np.float32)
    values[-1] = np.inf
    with pytest.raises(ModelError, match="'v' is NaN or infinite"):
        _observer(values, None).statistics()


def test_progress_is_told_in_samples() -> None:
    told = []
    values = np.zeros((70, 1, 1), np.float32)
    Observer(PASSING, {"v": None}, Dataset({"x": values}), None, lambda *pair: told.append(pair)).statistics()
    assert told == [(32, 70), (64, 70), (70, 70)]


@pytest.mark.parametrize(
    ("axis", "rank", "channels", "shape"), [(1, 4, 5, (5, 1, 1)), (3, 4, 5, (5,)), (2, 3, 7, (7,)), (1, 2, 3, (3,))]
)
def test_a_value_for_each_channel_spreads_over_the_tensor(
    axis: int, rank: int, channels: int, shape: tuple[int, ...]
) -> None:
    assert amplitude_shape(axis, rank, channels) == shape
    full = np.broadcast_to(np.arange(channels).reshape(shape), [channels if i == axis else 2 for i in range(rank)])
    np.testing.assert_array_equal(np.moveaxis(full, axis, 0)[:, *[0] * (rank - 1)], np.arange(channels))


def _amplitude(artifact: spikec.Artifact) -> np.ndarray:
    stored = {tensor.name: tensor for tensor in artifact.levels.neurons.graph.initializer}
    return numpy_helper.to_array(stored["act/amplitude"])


def _relu_of(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    model.graph.output.append(onnx.helper.make_tensor_value_info("h", 1, None))
    return run_model(model, feeds)["h"]


def test_one_amplitude_for_each_channel_of_a_convolution() -> None:
    feeds = tiny.images(40)
    artifact = spikec.compile(tiny.cnn(), calibration=feeds, steps=4, range_rule="max", range_per="channel")
    expected = _relu_of(tiny.cnn(), feeds).max(axis=(0, 2, 3))
    np.testing.assert_allclose(_amplitude(artifact), expected.reshape(4, 1, 1), rtol=1e-6)
    assert artifact.manifest["neurons"][0]["amplitudes"] == 4


def test_one_amplitude_for_each_column_of_a_product() -> None:
    feeds = {"x": tiny.samples(40)["x"]}
    artifact = spikec.compile(tiny.mlp(), calibration=feeds, steps=4, range_rule="max", range_per="channel")
    np.testing.assert_allclose(_amplitude(artifact), _relu_of(tiny.mlp(), feeds).max(axis=0), rtol=1e-6)


def test_one_amplitude_for_the_tensor() -> None:
    feeds = tiny.images(40)
    values = _relu_of(tiny.cnn(), feeds)
    artifact = spikec.compile(tiny.cnn(), calibration=feeds, steps=4, range_rule="max", range_per="tensor")
    np.testing.assert_allclose(_amplitude(artifact), values.max(), rtol=1e-6)
    row = artifact.manifest["neurons"][0]
    np.testing.assert_allclose(row["range"], [values.min(), values.max()], rtol=1e-6)
    cut = spikec.compile(tiny.cnn(), calibration=feeds, steps=4, range_rule="percentile:90", range_per="tensor")
    expected = np.percentile(values, 90, method="inverted_cdf")
    assert expected * 0.999 <= _amplitude(cut) <= expected + values.max() / BINS


def test_a_neuron_starts_at_its_mean_on_request() -> None:
    feeds = tiny.images(40)
    options = spikec.Options(steps=4, initial="mean", range_rule="max", range_per="tensor")
    artifact = spikec.compile(tiny.cnn(), calibration=feeds, options=options)
    values = _relu_of(tiny.cnn(), feeds)
    row = artifact.manifest["neurons"][0]
    np.testing.assert_allclose(row["initial"], [values.mean()] * 2, rtol=1e-5)
    np.testing.assert_allclose(row["amplitude"], [values.max() - values.mean()] * 2, rtol=1e-5)
