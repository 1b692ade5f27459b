"""The same artifact in torch and in onnxruntime, the border to arrays, and backends that cannot be had."""

import functools
import sys
from dataclasses import replace

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from spikec.runtime import ArtifactError, DeviceError, Session
from spikec.runtime.backend import make_backend
from tests.models.forms import STEPS, compiled
from tests.models.graphs import initializer
from tests.models.networks import TEXTS, network
from tests.runtime.engines import parts_of

BACKENDS = ("torch", "onnxruntime")
CASES = [(name, "loop") for name in TEXTS if not name.startswith("no neuron")]
CASES += [(name, form) for name in ("deep", "dense", "argmax", "readout of the input") for form in ("unrolled", "step")]
KINDS = (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_)
RELU, FLOAT = helper.make_node("Relu", ["x"], ["y"]), {"x": TensorProto.FLOAT}


@functools.cache
def engine(backend):
    return make_backend(backend, parts_of("mlp"), "cpu", "float32")


@pytest.mark.parametrize(("name", "form"), CASES)
def test_the_backends_agree_step_by_step(name, form):
    feeds = network(name).feeds(3)
    one, other = (list(Session(compiled(name, form).model, backend).stream(feeds)) for backend in BACKENDS)
    assert len(one) == len(other) == STEPS
    for step, expected in zip(one, other, strict=True):
        for neuron, spikes in expected.spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], spikes)
        for output, value in expected.outputs.items():
            assert (step.outputs[output].dtype, step.outputs[output].shape) == (value.dtype, value.shape)
            np.testing.assert_allclose(step.outputs[output], value, rtol=1e-4, atol=1e-5)


def test_precision_is_that_of_the_computation():
    feeds = network("deep").feeds(5)
    single, double = (
        Session(compiled("deep").model, precision=p).run(feeds).final["y"] for p in ("float32", "float64")
    )
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert 0 < np.abs(single - double).max() < 1e-5, "float64 all the way, from the weights on"


def test_weights_keep_the_precision_that_they_have():
    third = numpy_helper.from_array(np.array([1 / 3]), "third")
    exact = make_backend("torch", replace(parts_of("mlp"), constants=[third]), "cpu", "float64")
    found = exact.graph([helper.make_node("Mul", ["x", "third"], ["y"])], ["y"], FLOAT)({"x": torch.tensor([3.0])})
    assert exact.to_numpy(found["y"]) == 3 * (1 / 3)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30, deadline=None)
@given(array=hnp.arrays(st.sampled_from(KINDS), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_arrays_come_back_as_they_went(backend, array):
    tensor = engine(backend).to_device(array)
    found = engine(backend).to_numpy(tensor)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "view", [lambda a: a.T, lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a[..., ::-1], lambda a: a[::-1][:1]]
)
def test_arrays_that_lie_otherwise_in_memory(view, backend):
    array = view(np.arange(24.0, dtype=np.float32).reshape(2, 3, 4))
    tensor = engine(backend).to_device(array)
    np.testing.assert_array_equal(engine(backend).to_numpy(tensor), array)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_array_outlives_the_tensor_that_it_was_and_shares_nothing_with_it(backend):
    given = np.arange(2000.0, dtype=np.float32).reshape(2, 1000)[:, ::2]
    found = engine(backend).to_numpy(engine(backend).to_device(given))
    assert found.flags.owndata and not np.shares_memory(found, given)


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_that_may_not_be_written_to(backend, recwarn):
    array = np.ones((2, 3), np.float32)
    array.flags.writeable = False
    engine(backend).to_device(array)
    assert not recwarn.list


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", ["4,2", "", " 2 ", "many", "²"])
def test_numbers_of_threads_as_openmp_takes_them(monkeypatch, threads, backend):
    artifact = compiled("mlp").model
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert Session(artifact, backend).run(network("mlp").feeds(2)).final["y"].shape == (2, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_reads_tensors_constants_and_what_is_not_for_it(backend):
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["a"]), RELU, helper.make_node("Tanh", ["unfed"], ["z"])]
    evaluate = engine(backend).graph(nodes, ["a", "y"], FLOAT)
    x = network("mlp").feeds(2)["x"]
    found = evaluate({"x": engine(backend).to_device(x), "other": engine(backend).to_device(x)})
    assert list(found) == ["a", "y"]
    np.testing.assert_array_equal(engine(backend).to_numpy(found["y"]), np.maximum(x, 0))
    w, b = (initializer(network("mlp").model, name) for name in "wb")
    np.testing.assert_allclose(engine(backend).to_numpy(found["a"]), x @ w + b, rtol=1e-5)


def test_onnxruntime_refuses_graphs_that_do_not_hold_together():
    with pytest.raises(ArtifactError, match="does not compute x; compile it again"):
        engine("onnxruntime").graph([RELU], ["x", "y"], FLOAT)
    with pytest.raises(ArtifactError, match="reads x, which it does not compute; compile it again"):
        engine("onnxruntime").graph([RELU], ["y"], FLOAT)({})
    with pytest.raises(ArtifactError, match=r"cannot load the artifact: .*Relu"):
        engine("onnxruntime").graph([RELU], ["y"], {"x": TensorProto.STRING})


REFUSED = [
    ({"backend": "jax"}, "there is no backend 'jax'; choose torch or onnxruntime"),
    ({"precision": "float16"}, "backend torch has no precision 'float16'; choose float32, float64, bfloat16, int8"),
    (
        {"backend": "onnxruntime", "precision": "float64"},
        "backend onnxruntime computes in float32; use backend torch for float64",
    ),
    ({"device": "cuda:one"}, "'cuda:one' is not a torch device; write cpu, cuda or cuda:0"),
    ({"device": "meta"}, "device 'meta' is not supported; write cpu, cuda or cuda:0"),
    ({"backend": "onnxruntime", "device": "cuda:-1"}, "device 'cuda:-1' is not supported; write cpu, cuda or cuda:0"),
    ({"backend": "onnxruntime", "device": "cpu:²"}, "device 'cpu:²' is not supported; write cpu, cuda or cuda:0"),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED)
def test_what_no_backend_offers_is_refused(asked, message):
    with pytest.raises(DeviceError) as refused:
        Session(compiled("mlp").model, **asked)
    assert str(refused.value) == message
    assert refused.value.exit_code == 5


def test_a_cuda_device_that_is_not_there():
    """On any machine: the first index that no device has."""
    count = torch.cuda.device_count()
    message = (
        f"there are only {count} CUDA devices" if count else "no CUDA device is available to torch; use device cpu"
    )
    with pytest.raises(DeviceError, match=message) as refused:
        Session(compiled("mlp").model, device=f"cuda:{count}")
    assert refused.value.exit_code == 5


def test_a_provider_that_this_onnxruntime_was_built_without(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="this onnxruntime has no CUDAExecutionProvider; use device cpu or"):
        Session(compiled("mlp").model, "onnxruntime", "cuda:0")


@pytest.mark.parametrize(("backend", "module"), [("torch", "torch_backend"), ("onnxruntime", "ort_backend")])
def test_a_backend_whose_package_is_missing(monkeypatch, backend, module):
    other = next(name for name in BACKENDS if name != backend)
    monkeypatch.delitem(sys.modules, f"spikec.runtime.{module}", raising=False)
    monkeypatch.setitem(sys.modules, backend, None)  # what Python itself does to block an import
    with pytest.raises(DeviceError) as refused:
        Session(compiled("mlp").model, backend)
    assert str(refused.value) == f"backend {backend} needs the package {backend}; install it or use backend {other}"
