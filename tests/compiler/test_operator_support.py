"""Every operator that the project promises, from end to end, in the oldest opset, in one between, and in its own."""

import numpy as np
import onnx
import pytest

import spikec
from spikec.equivalence import relative_distance
from spikec.onnx_session import run_model
from tests.models.graphs import ints, normal, parse, scalar, with_ranks

OPSETS = (13, 17, 20)
SHAPE = (4, 6, 6)
K3, K1 = normal(4, 4, 3, 3) / 4, normal(4, 4, 1, 1, seed=1)
NORM = {
    f"n{i}": a
    for i, a in enumerate([normal(4, seed=1), normal(4, seed=2), normal(4, seed=3), normal(4, seed=4) ** 2 + 0.5])
}
POOL = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"

# what stands between two neurons: linear operators, from h (N, 4, 6, 6) to o
LINEAR = {
    "Conv": ("o = Conv<pads = [1, 1, 1, 1]>(h, k3, c)", {"k3": K3, "c": normal(4)}),
    "Conv, depthwise": ("o = Conv<group = 4>(h, k)", {"k": normal(4, 1, 3, 3)}),
    "ConvTranspose": ("o = ConvTranspose<strides = [2, 2]>(h, k, c)", {"k": normal(4, 3, 2, 2), "c": normal(3)}),
    "Gemm": ("f = Flatten(h) o = Gemm<transB = 1>(f, w, c)", {"w": normal(5, 144) / 12, "c": normal(5)}),
    "MatMul": ("o = MatMul(h, w)", {"w": normal(6, 5)}),
    "MatMul from the left": ("o = MatMul(w, h)", {"w": normal(5, 6)}),
    "BatchNormalization": ("p = AveragePool<kernel_shape = [2, 2]>(h) o = BatchNormalization(p, n0, n1, n2, n3)", NORM),
    "BatchNormalization behind Conv": ("p = Conv(h, k1) o = BatchNormalization(p, n0, n1, n2, n3)", {"k1": K1, **NORM}),
    "AveragePool": (f"o = AveragePool<{POOL}>(h)", {}),
    "AveragePool counting the padding": (f"o = AveragePool<{POOL}, count_include_pad = 1>(h)", {}),
    "AveragePool, ceil_mode": ("o = AveragePool<kernel_shape = [2, 2], strides = [4, 4], ceil_mode = 1>(h)", {}),
    "GlobalAveragePool": ("o = GlobalAveragePool(h)", {}),
    "ReduceMean": (
        {13: "o = ReduceMean<axes = [2, 3], keepdims = 0>(h)", 18: "o = ReduceMean<keepdims = 0>(h, axes)"},
        {"axes": ints(2, 3)},
    ),
    "ReduceSum": ("o = ReduceSum(h, axes)", {"axes": ints(1)}),
    "Add": ("p = Conv(h, k1) o = Add(p, k)", {"k1": K1, "k": normal(4, 1, 1)}),
    "Sub": ("p = Conv(h, k1) o = Sub(k, p)", {"k1": K1, "k": normal(4, 1, 1)}),
    "Mul": ("p = Conv(h, k1) o = Mul(p, k)", {"k1": K1, "k": normal(4, 1, 1)}),
    "Div": ("p = Conv(h, k1) o = Div(p, k)", {"k1": K1, "k": normal(4, 1, 1) ** 2 + 0.5}),
    "residual connection": ("p = Conv<pads = [1, 1, 1, 1]>(h, k3) o = Add(p, h)", {"k3": K3}),
    "dense connection": ("p = Conv(h, k1) q = Tanh(p) o = Concat<axis = 1>(h, q, a)", {"k1": K1}),
    "Split": (
        {13: "p, q = Split<axis = 1>(h) o = Sub(p, q)", 18: "p, q = Split<axis = 1, num_outputs = 2>(h) o = Sub(p, q)"},
        {},
    ),
    "Slice": (
        "o = Slice(h, start, stop, axes, step)",
        {"start": ints(-1), "stop": ints(0), "axes": ints(2), "step": ints(-2)},
    ),
    "Pad": ("o = Pad(h, pads, value)", {"pads": ints(0, 0, 1, 2, 0, 0, 1, 0), "value": scalar(0.5)}),
    "Pad, reflect": ('o = Pad<mode = "reflect">(h, pads)', {"pads": ints(0, 0, 1, 2, 0, 0, 1, 0)}),
    "Reshape": ("o = Reshape(h, shape)", {"shape": ints(0, -1, 9)}),
    "Reshape by the batch": (
        "s = Shape(h) n = Gather(s, zero) t = Concat<axis = 0>(n, rest) o = Reshape(h, t)",
        {"zero": ints(0), "rest": ints(-1)},
    ),
    "Flatten": ("o = Flatten(h)", {}),
    "Transpose": ("o = Transpose<perm = [0, 2, 3, 1]>(h)", {}),
    "Squeeze": ("p = GlobalAveragePool(h) o = Squeeze(p, axes)", {"axes": ints(2, 3)}),
    "Unsqueeze": ("o = Unsqueeze(h, axes)", {"axes": ints(1, -1)}),
    "Expand": ("p = GlobalAveragePool(h) s = Shape(h) o = Expand(p, s)", {}),
    "Gather": ("o = Gather<axis = 1>(h, i)", {"i": ints(3, 0, 3)}),
    "Resize, nearest": ("o = Resize(h, , scales)", {"scales": np.array([1, 1, 2, 2], np.float32)}),
    "Resize, linear": ('o = Resize<mode = "linear">(h, , scales)', {"scales": np.array([1, 1, 1.5, 0.5], np.float32)}),
    "Resize, asymmetric": (
        'o = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">(h, , '
        "scales)",
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    ),
    "DepthToSpace": ("o = DepthToSpace<blocksize = 2>(h)", {}),
    "Identity": ("p = Conv(h, k1) o = Identity(p)", {"k1": K1}),
    "Dropout": ("p = Conv(h, k1) o = Dropout(p, ratio)", {"k1": K1, "ratio": scalar(0.5)}),
    "Cast": ("q = Conv(h, k1) p = Cast<to = 11>(q) o = Cast<to = 1>(p)", {"k1": K1}),
    "Einsum": ('o = Einsum<equation = "nchw,cd->ndhw">(h, w)', {"w": normal(4, 3)}),
}

# nonlinearities, from a (N, 4, 6, 6), which is constant in time, and b, which changes with every step, to o
NEURONS = {
    "Relu": ("o = Relu(b)", {}),
    "LeakyRelu": ("o = LeakyRelu<alpha = 0.3>(b)", {}),
    "LeakyRelu, steep": ("o = LeakyRelu<alpha = 1.5>(b)", {}),
    "PRelu": ("o = PRelu(b, slope)", {"slope": normal(4, 1, 1)}),
    "Clip": ("o = Clip(b, low, high)", {"low": scalar(-0.2), "high": scalar(0.6)}),
    "Clip from above": ("o = Clip(b, , high)", {"high": scalar(0.6)}),
    "Abs": ("o = Abs(b)", {}),
    "Exp": ("o = Exp(b)", {}),
    "Pow 2": ("o = Pow(b, two)", {"two": scalar(2)}),
    "Mul(x, x)": ("o = Mul(b, b)", {}),
    "Gelu": (
        {13: "d = Div(b, r) e = Erf(d) u = Add(e, one) m = Mul(b, u) o = Mul(m, half)", 20: "o = Gelu(b)"},
        {"r": scalar(2**0.5), "one": scalar(1), "half": scalar(0.5)},
    ),
    "Gelu, tanh": (
        {
            13: "p = Pow(b, three) q = Mul(p, c) s = Add(b, q) t = Mul(s, r) u = Tanh(t) v = Add(u, one) "
            "m = Mul(b, half) o = Mul(m, v)",
            20: 'o = Gelu<approximate = "tanh">(b)',
        },
        {
            "three": scalar(3),
            "c": scalar(0.044715),
            "r": scalar((2 / np.pi) ** 0.5),
            "one": scalar(1),
            "half": scalar(0.5),
        },
    ),
    "HardSwish": ({13: "s = HardSigmoid<alpha = 0.16666667, beta = 0.5>(b) o = Mul(b, s)", 14: "o = HardSwish(b)"}, {}),
    "x*tanh(exp(x))": ("e = Exp(b) t = Tanh(e) o = Mul(b, t)", {}),
    "Sigmoid": ("o = Sigmoid(b)", {}),
    "Max": ("o = Max(b, a)", {}),
    "Min": ("n = Neg(b) o = Min(b, n, k)", {"k": scalar(0.3)}),
    "MaxPool": (f"o = MaxPool<{POOL}>(b)", {}),
    "MaxPool, dilation": ("o = MaxPool<kernel_shape = [2, 2], dilations = [2, 3]>(b)", {}),
    "MaxPool, ceil_mode": ("o = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(b)", {}),
    "MaxPool, auto_pad": ('o = MaxPool<kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER">(b)', {}),
    "GlobalMaxPool": ("o = GlobalMaxPool(b)", {}),
    "Mul of two": ("n = Conv(b, k1) o = Mul(b, n)", {"k1": K1}),
    "Div of two": ("n = Exp(a) o = Div(b, n)", {}),
    "x/sqrt(y)": (
        "m = Mul(b, b) v = Conv(m, ones) e = Add(v, one) r = Sqrt(e) o = Div(b, r)",
        {"ones": np.ones((4, 4, 1, 1), np.float32) / 4, "one": scalar(1)},
    ),
    "LayerNormalization": (
        {
            13: "u = ReduceMean<axes = [-1]>(b) d = Sub(b, u) q = Pow(d, two) v = ReduceMean<axes = [-1]>(q) "
            "e = Add(v, eps) r = Sqrt(e) n = Div(d, r) m = Mul(n, s) o = Add(m, t)",
            17: "o = LayerNormalization(b, s, t)",
        },
        {"two": scalar(2), "eps": scalar(1e-5), "s": normal(6, seed=5), "t": normal(6, seed=6)},
    ),
}
LAST = 'y = Einsum<equation = "...,->...">(z, unit)'  # weights behind the last neuron, else it were a readout


def text_for(nodes, opset):
    """The nodes as the operators were in that opset."""
    return nodes if isinstance(nodes, str) else nodes[max(version for version in nodes if version <= opset)]


def model_of(nodes, opset, **constants):
    text = f"g (float[N, 4, 6, 6] x) => (float[] y) {{ {nodes} {LAST} }}"
    model = parse(text, opset, unit=scalar(1), **constants)
    return with_ranks(model, {"x": normal(2, *SHAPE)})


def distance(model, **options):
    """Of the network after 64 steps to its source, both in onnxruntime, over the norm of the source."""
    x = normal(4, *SHAPE, seed=9)
    artifact = spikec.compile(model, calibration=x, steps=64, **options)
    onnx.checker.check_model(artifact.model, full_check=True)
    feeds = {"x": x}
    return relative_distance(run_model(artifact.model, feeds)["y"], run_model(model, feeds)["y"]), artifact


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", LINEAR)
def test_linear(name, opset):
    nodes, constants = LINEAR[name]
    body = f"a = Mul(x, two) h = Relu(a) {text_for(nodes, opset)} z = Tanh(o)"
    found, artifact = distance(model_of(body, opset, two=scalar(0.7), **constants))
    assert found < 0.03
    assert {row["function"] for row in artifact.manifest["neurons"]} == {"Relu", "Tanh"}


@pytest.mark.parametrize("granularity", ["composite", "strict"])
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", NEURONS)
def test_neuron(name, opset, granularity):
    nodes, constants = NEURONS[name]
    if granularity == "strict" and name == "Min":
        constants = {**constants, "k": normal(4, 1, 1)}
    body = f"a = Mul(x, one7) f = Tanh(a) b = Conv(f, k1) {text_for(nodes, opset)} z = Mul(o, one7)"
    found, artifact = distance(
        model_of(body, opset, **{"one7": scalar(0.7), "k1": K1, **constants}), granularity=granularity
    )
    assert found < 0.05
    assert len(artifact.manifest["neurons"]) >= 2
