"""Small networks, one for each shape that a network can have in time: what has a neuron before it and what has not."""

from dataclasses import dataclass

import numpy as np
import onnx

from tests.models.graphs import Arrays, ints, normal, parse

WEIGHTS = {
    "w": normal(6, 5, seed=11) / 2,
    "b": normal(5, seed=12),
    "v": normal(5, 4, seed=13) / 2,
    "c": normal(4, seed=14),
    "k": normal(3, 2, 3, 3, seed=15) / 3,
    "l": normal(3, 3, 3, 3, seed=16) / 4,
    "d": normal(3, seed=17),
    "u": normal(27, 4, seed=18) / 4,
    "p": normal(108, 4, seed=19) / 8,
    "s": normal(5, seed=20) ** 2 + 0.2,
    "m": normal(3, 3, 1, 1, seed=21),
    "axes": ints(-1),
    "zero": ints(0),
    "rest": ints(-1),
    "two": ints(2),
    "q": normal(5, 5, seed=22) / 2,
}

ROW, IMAGE = "float[N, 6] x", "float[N, 2, 6, 6] x"
SCORES = "float[N, 4] y"
FIRST = "a = Gemm(x, w, b)"
LAST = "y = Gemm(h, v, c)"
CONV = "a = Conv<pads = [1, 1, 1, 1]>(x, k, d)"

# name -> (inputs, outputs, nodes)
TEXTS = {
    "mlp": (ROW, SCORES, f"{FIRST} h = Relu(a) {LAST}"),
    "deep": (ROW, SCORES, f"{FIRST} e = Relu(a) f = Gemm(e, q) g = Tanh(f) i = Gemm(g, q) h = Gelu(i) {LAST}"),
    "no neuron": (ROW, SCORES, f"{FIRST} h = Mul(a, s) {LAST}"),
    "no neuron, readout": (ROW, SCORES, f"{FIRST} i = Gemm(a, v, c) y = Softmax(i)"),
    "neuron at the input": (ROW, SCORES, f"i = Tanh(x) a = Gemm(i, w, b) h = Mul(a, s) {LAST}"),
    "neuron fed by a neuron": (
        IMAGE,
        SCORES,
        f"{CONV} e = Relu(a) i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(e) h = Flatten(i) y = Gemm(h, u)",
    ),
    "a neuron's own tensor is an output": (ROW, f"float[N, 5] h, {SCORES}", f"{FIRST} h = Relu(a) {LAST}"),
    "an inner sum is an output": (
        ROW,
        f"float[N, 5] g, {SCORES}",
        f"{FIRST} e = Relu(a) g = Add(e, a) h = Tanh(g) {LAST}",
    ),
    "logits and softmax": (ROW, f"{SCORES}, float[N, 4] z", f"{FIRST} h = Relu(a) {LAST} z = Softmax(y)"),
    "softmax": (ROW, SCORES, f"{FIRST} h = Relu(a) i = Gemm(h, v, c) y = Softmax(i)"),
    "argmax": (ROW, "int64[N] y", f"{FIRST} h = Relu(a) i = Gemm(h, v, c) y = ArgMax<axis = 1, keepdims = 0>(i)"),
    "readout of a neuron": (ROW, f"float[N, 5] z, {SCORES}", f"{FIRST} h = Relu(a) z = Softmax(h) {LAST}"),
    "readout of the input": (
        ROW,
        SCORES,
        f"{FIRST} h = Relu(a) i = Gemm(h, v, c) g = Softmax(x) j = ReduceMax(g, axes) y = Mul(i, j)",
    ),
    "an output constant in time": (ROW, f"{SCORES}, float[N, 5] z", f"{FIRST} z = Neg(a) h = Relu(a) {LAST}"),
    "an output passes the input": (ROW, f"{SCORES}, float[N, 6] z", f"{FIRST} h = Relu(a) {LAST} z = Identity(x)"),
    "sum with what is constant in time": (
        IMAGE,
        "float[N, 3, 6, 6] y",
        f"{CONV} e = Relu(a) f = Conv<pads = [1, 1, 1, 1]>(e, l, d) g = Conv<pads = [1, 1, 1, 1]>(x, k) y = Add(f, g)",
    ),
    "concat with what is constant in time": (
        IMAGE,
        SCORES,
        f"{CONV} e = Relu(a) g = Concat<axis = 1>(a, e) i = ReduceMean<keepdims = 0>(g, axes) j = Flatten(i) "
        "y = Gemm(j, t)",
    ),
    "gate by what is constant in time": (ROW, SCORES, f"{FIRST} e = Sigmoid(a) f = Gemm(e, q) h = Mul(f, a) {LAST}"),
    "residual": (
        ROW,
        SCORES,
        f"{FIRST} e = Relu(a) f = Gemm(e, q) h = Add(a, f) i = Tanh(h) j = Gemm(i, q) g = Add(j, h) y = Gemm(g, v)",
    ),
    "residuals": (
        ROW,
        SCORES,
        f"{FIRST} e = Relu(a) f = Gemm(e, q) h = Add(a, f) i = Tanh(h) j = Gemm(i, q) g = Add(j, h) "
        "k = LayerNormalization(g, s, b) l = Gemm(k, q) m = Add(l, g) y = Gemm(m, v)",
    ),
    "dense": (
        IMAGE,
        SCORES,
        f"{CONV} e = Relu(a) f = Conv<pads = [1, 1, 1, 1]>(e, l) g = Relu(f) h = Concat<axis = 1>(e, g, a) "
        "i = GlobalAveragePool(h) j = Flatten(i) y = Gemm(j, r)",
    ),
    "reshape by the batch": (
        IMAGE,
        SCORES,
        f"{CONV} e = Relu(a) f = Shape(e) g = Gather(f, zero) i = Concat<axis = 0>(g, rest) j = Reshape(e, i) "
        "y = Gemm(j, p)",
    ),
    "reshape with a zero": (IMAGE, SCORES, f"{CONV} e = Relu(a) j = Reshape(e, keep) y = Gemm(j, p, c)"),
    "square and product": (ROW, SCORES, f"{FIRST} e = Mul(a, a) f = Gemm(e, q) g = Gemm(a, q) h = Mul(f, g) {LAST}"),
    "attention": (
        "float[N, 3, 6] x",
        "float[N, 3, 4] y",
        "a = MatMul(x, w) i = MatMul(a, q) j = Transpose<perm = [0, 2, 1]>(a) f = MatMul(i, j) g = Softmax(f) "
        "h = MatMul(g, a) y = MatMul(h, v)",
    ),
    "layer norm": (ROW, SCORES, f"{FIRST} h = LayerNormalization(a, s, b) {LAST}"),
    "max pool": (
        IMAGE,
        SCORES,
        f"{CONV} i = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(a) h = Flatten(i) "
        "y = Gemm(h, u, c)",
    ),
    "two inputs": (
        "float[N, 6] x, float[N, 5] z",
        SCORES,
        f"{FIRST} e = Relu(a) f = Tanh(z) g = Gemm(e, q) h = Add(g, f) {LAST}",
    ),
    "two heads": (
        ROW,
        f"{SCORES}, float[N, 4] z",
        f"{FIRST} h = Relu(a) {LAST} e = Gemm(h, q) f = Relu(e) g = Gemm(f, v) z = Sigmoid(g)",
    ),
    "gated linear unit": (
        ROW,
        SCORES,
        f"{FIRST} e = Relu(a) f = Gemm(e, g2) i, j = Split<axis = 1, num_outputs = 2>(f) g = Sigmoid(j) h = Mul(i, g) "
        f"{LAST}",
    ),
    "a bias between neurons": (ROW, SCORES, f"{FIRST} e = Relu(a) f = Add(e, s) h = Softmax(f) {LAST}"),
    "dynamic convolution": (
        IMAGE,
        "float[N, 3, 6, 6] y",
        f"{CONV} e = Relu(a) f = GlobalAveragePool(e) g = ReduceMean(f, all) i = Mul(g, m) j = Conv(e, i) "
        "y = Conv(j, m)",
    ),
    "a slope that changes": (
        ROW,
        SCORES,
        f"{FIRST} e = Relu(a) f = Gemm(e, q) g = Gemm(e, q, s) h = PRelu(f, g) {LAST}",
    ),
    "a scalar output": (IMAGE, "float y", f"{CONV} e = Relu(a) f = Conv(e, l) y = ReduceMean<keepdims = 0>(f)"),
    "softmax at the beginning": (ROW, SCORES, f"i = Softmax(x) a = Gemm(i, w, b) h = Pow(s, a) {LAST}"),
    "squeeze and excite": (
        IMAGE,
        "float[N, 3, 6, 6] y",
        f"{CONV} e = Relu(a) f = GlobalAveragePool(e) g = Conv(f, m, d) i = Sigmoid(g) j = Mul(e, i) y = Conv(j, m)",
    ),
    "a parameter from a shape": (
        ROW,
        SCORES,
        f"{FIRST} e = Tanh(a) f = Gemm(e, q) g = Shape<start = 1>(f) i = Cast<to = 1>(g) "
        f"j = ReduceMax<keepdims = 0>(i) n = Div(one, j) h = Max(f, n) {LAST}",
    ),
    "shared neuron": (ROW, SCORES, f"{FIRST} e = Relu(a) f = Gemm(e, q) g = Gemm(e, q, s) h = Max(f, g) {LAST}"),
}
MORE = {
    "t": normal(36, 4, seed=23) / 6,
    "r": normal(9, 4, seed=24) / 3,
    "keep": ints(0, -1),
    "g2": normal(5, 10, seed=25) / 2,
    "all": ints(0),
    "one": np.ones(1, np.float32),
}
OPENED = (
    "layer norm",
    "max pool",
    "neuron fed by a neuron",
    "attention",
    "a bias between neurons",
    "softmax at the beginning",
)  # networks that granularity strict opens
MIXING = ("dynamic convolution", "a scalar output")  # networks in which a sample's output depends on the other samples


@dataclass(frozen=True)
class Case:
    """A network and the shape of one sample of each of its inputs."""

    model: onnx.ModelProto
    shapes: dict[str, tuple[int, ...]]

    def feeds(self, samples: int = 4, seed: int = 0) -> Arrays:
        """Seeded samples."""
        return {name: normal(samples, *shape, seed=seed + i) for i, (name, shape) in enumerate(self.shapes.items())}


def network(name: str, opset: int = 20) -> Case:
    """The network of that name."""
    inputs, outputs, nodes = TEXTS[name]
    model = parse(f"g ({inputs}) => ({outputs}) {{ {nodes} }}", opset, **WEIGHTS, **MORE)
    dims = {info.name: [d.dim_value for d in info.type.tensor_type.shape.dim][1:] for info in model.graph.input}
    return Case(model, {key: tuple(value) for key, value in dims.items()})


def flat(values: Arrays) -> np.ndarray:
    """All arrays in one vector, for a comparison at a glance."""
    return np.concatenate([np.asarray(value, np.float64).ravel() for value in values.values()])
