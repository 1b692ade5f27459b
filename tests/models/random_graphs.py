"""Small random networks out of all supported operators: a strategy for hypothesis.

A network grows by one entry of the tables at a time. Each is run as it is added: so shapes are known, and values too
large for what follows can be scaled down.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import assume
from hypothesis import strategies as st

from spikec.onnx_session import run_model
from spikec.passes.operators import is_elementwise, neuron_operators
from tests.models.graphs import Arrays, ints, normal, parse, scalar

Shape = tuple[int, ...]
SAMPLES = 3
SHAPES = [(2, 4, 6), (4, 6, 6), (4, 6), (5, 8)]  # of one sample: images and sequences; no size is that of the batch
LARGEST, MOST = 3.0, 300  # value above which all are scaled down; elements above which a tensor must not grow
OPSETS = {"GroupNormalization": 21, "RMSNormalization": 23, "Swish": 24}  # all others: 20


@dataclass(frozen=True)
class Entry:
    """Nodes that make {y} of {x}, and of {z} of the same shape where it is named.

    {c} is the number of channels, {turned} the axes with the last two exchanged; all other names in braces are
    constants, made from the shape of x by ``constants(shape, weights)``.
    """

    text: str
    constants: Callable[[Shape, Callable[..., np.ndarray]], Arrays] = lambda s, w: {}
    fits: Callable[[Shape], bool] = lambda s: True


def _image(s: Shape) -> bool:
    return len(s) == 4


def _roomy(s: Shape) -> bool:
    return _image(s) and min(s[2:]) > 3


def _small(s: Shape) -> bool:
    return int(np.prod(s[1:])) <= MOST


def _rowed(s: Shape) -> bool:
    return s[-1] > 1  # what divides by the norm of one element is a sign, which jumps


def _numbers(s: Shape, w: Callable[..., np.ndarray]) -> Arrays:
    return {"low": scalar(-0.3), "high": scalar(0.7), "one": scalar(1), "odd": scalar(0.1237), "slope": scalar(0.3)}


def _axes(s: Shape, w: Callable[..., np.ndarray]) -> Arrays:
    return {"last": ints(-1), "lift": scalar(1), "scale": w(s[-1]) + 1, "shift": w(s[-1])}


def _channels(s: Shape, w: Callable[..., np.ndarray]) -> Arrays:
    return {"scale": w(s[1]) + 1, "shift": w(s[1]), "mean": w(s[1]), "variance": w(s[1]) ** 2 + 0.5}


# An estimate passes beyond the values of what it estimates. So a domain is guarded in the same fused neuron.
_WITHIN = "{y}a = Tanh({x}) {y}b = Mul({y}a, {high}) {y} = "
_POSITIVE = "{y}a = Abs({x}) {y}b = Add({y}a, {one}) {y} = "
_SHIFTED = "{y}a = Add({x}, {odd}) "
_OFF = _SHIFTED + "{y} = "  # sums of spikes do not meet the jump of what follows
GUARDED = {
    **{op: f"{_WITHIN}{op}({{y}}b)" for op in ("Acos", "Asin", "Atanh", "Tan")},
    **{op: f"{_POSITIVE}{op}({{y}}b)" for op in ("Acosh", "Log", "Sqrt", "Reciprocal")},
    **{op: f"{_OFF}{op}({{y}}a)" for op in ("Sign", "Floor", "Ceil", "Round", "ThresholdedRelu")},
    "Mod": f"{_OFF}Mod<fmod = 1>({{y}}a, {{high}})",
    "Pow": f"{_POSITIVE}Pow({{y}}b, {{slope}})",
    "Clip": "{y} = Clip({x}, {low}, {high})",
    "PRelu": "{y} = PRelu({x}, {slope})",
    "Div": f"{_POSITIVE}Div({{one}}, {{y}}b)",
    "Max": "{y} = Max({x}, {odd})",
    "Min": "{y} = Min({x}, {odd})",
    "Mul": "{y} = Mul({x}, {x})",
}
_ELEMENTWISE = [op for op in neuron_operators() if is_elementwise(op, "")]
UNARY = {op: Entry(GUARDED.get(op, f"{{y}} = {op}({{x}})"), _numbers) for op in _ELEMENTWISE}
BINARY = {
    name: Entry(text, _numbers)
    for name, text in {
        "Mul of two": "{y} = Mul({x}, {z})",
        "Div of two": "{y}a = Abs({z}) {y}b = Add({y}a, {one}) {y} = Div({x}, {y}b)",
        "Max of two": "{y} = Max({x}, {z})",
        "Min of two": "{y} = Min({x}, {z})",
        "Max of three": "{y}a = Neg({z}) {y}b = Sigmoid({x}) {y} = Max({x}, {y}b, {y}a)",
        "Min of three": "{y}a = Neg({z}) {y}b = Sigmoid({x}) {y} = Min({x}, {y}b, {y}a, {low})",
        "PRelu of two": "{y} = PRelu({x}, {z})",
        "Pow of two": f"{_POSITIVE}Pow({{y}}b, {{z}})",
        "Clip of three": "{y}a = ReduceMean<keepdims = 0>({z}) {y}b = Add({y}a, {one}) {y} = Clip({x}, {y}a, {y}b)",
    }.items()
}
# Chains that compare, in one tensor or two. An estimate that is the other one, or a sum of spikes, meets no jump.
PIECEWISE = {
    name: Entry(text, _numbers)
    for name, text in {
        "Where": "{y}a = Greater({x}, {odd}) {y}b = Tanh({x}) {y} = Where({y}a, {x}, {y}b)",
        "Where by Cast": (
            "{y}a = Less({x}, {odd}) {y}b = Not({y}a) {y}c = Cast<to = 1>({y}b) {y}d = Cast<to = 1>({y}a) "
            "{y}e = Sigmoid({x}) {y}f = Mul({y}c, {x}) {y}g = Mul({y}d, {y}e) {y} = Add({y}f, {y}g)"
        ),
        "step": "{y}a = GreaterOrEqual({x}, {odd}) {y} = Cast<to = 1>({y}a)",
        "between": (
            f"{_SHIFTED}{{y}}b = LessOrEqual({{y}}a, {{high}}) {{y}}c = Less({{y}}a, {{low}}) "
            "{y}d = Not({y}c) {y}e = And({y}b, {y}d) {y}f = Abs({x}) {y} = Where({y}e, {x}, {y}f)"
        ),
        "truncation": f"{_SHIFTED}{{y}}b = Cast<to = 7>({{y}}a) {{y}} = Cast<to = 1>({{y}}b)",
        "choice of two": (
            f"{_SHIFTED}{{y}}b = Greater({{y}}a, {{z}}) {{y}}c = Mul({{z}}, {{slope}}) "
            "{y} = Where({y}b, {x}, {y}c)"
        ),
        "choice by a third": "{y}a = Greater({x}, {odd}) {y}b = Mul({x}, {slope}) {y} = Where({y}a, {z}, {y}b)",
    }.items()
}
_LIFTED = "{y}a = Softplus({x}) {y}b = Add({y}a, {lift}) {y} = "  # the lift is more than a neuron goes below zero
ROWS = {
    **{
        op: Entry(f"{{y}} = {op}({{x}}, {{last}})", _axes, _rowed)
        for op in ("ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceProd")
    },
    "ReduceLogSum": Entry(f"{_LIFTED}ReduceLogSum({{y}}b, {{last}})", _axes, _rowed),
    "Softmax": Entry("{y} = Softmax({x})"),
    "LogSoftmax": Entry("{y} = LogSoftmax<axis = 1>({x})"),
    "LayerNormalization": Entry("{y} = LayerNormalization({x}, {scale}, {shift})", _axes, _rowed),
    "RMSNormalization": Entry("{y} = RMSNormalization({x}, {scale})", _axes, _rowed),
    "LpNormalization": Entry("{y}a = Add({x}, {shift}) {y} = LpNormalization<axis = -1, p = 2>({y}a)", _axes, _rowed),
    "MeanVarianceNormalization": Entry("{y} = MeanVarianceNormalization<axes = [2, 3]>({x})", fits=_roomy),
    "InstanceNormalization": Entry("{y} = InstanceNormalization({x}, {scale}, {shift})", _channels, _rowed),
    "GroupNormalization": Entry(
        "{y} = GroupNormalization<num_groups = 2>({x}, {scale}, {shift})",
        _channels,
        lambda s: _image(s) and s[1] % 2 == 0,
    ),
    "LRN": Entry("{y} = LRN<size = 3>({x})", fits=_image),
    "above the mean": Entry(
        "{y}a = ReduceMean({x}, {last}) {y}b = Sub({x}, {y}a) {y}c = Greater({y}b, {off}) "
        "{y} = Where({y}c, {x}, {off})",
        lambda s, w: {"last": ints(-1), "off": scalar(0.1237)},
        _rowed,
    ),
}
WINDOWS = {
    "MaxPool": Entry("{y} = MaxPool<kernel_shape = [2, 2], strides = [1, 2]>({x})", fits=_roomy),
    "MaxPool, padded": Entry("{y} = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>({x})", fits=_roomy),
    "MaxPool of a sequence": Entry("{y} = MaxPool<kernel_shape = [2]>({x})", fits=lambda s: len(s) == 3 and s[2] > 2),
    "GlobalMaxPool": Entry("{y} = GlobalMaxPool({x})"),
    "LpPool": Entry("{y} = LpPool<kernel_shape = [2, 2]>({x})", fits=_roomy),
    "GlobalLpPool": Entry("{y} = GlobalLpPool<p = 1>({x})"),
}
# Gemm and Conv of two values mix samples: tests.models.networks has one.
PRODUCTS = {
    "MatMul of two": Entry("{y}a = Transpose<perm = {turned}>({z}) {y} = MatMul({x}, {y}a)", fits=_small),
    "Einsum of two": Entry('{y} = Einsum<equation = "...ab,...cb->...ac">({x}, {z})', fits=_small),
}
LINEAR = {
    "Conv": Entry(
        "{y} = Conv<pads = [1, 1, 1, 1]>({x}, {k}, {b})", lambda s, w: {"k": w(4, s[1], 3, 3), "b": w(4)}, _image
    ),
    "Conv, strided": Entry("{y} = Conv<strides = [2, 1]>({x}, {k})", lambda s, w: {"k": w(4, s[1], 2, 2)}, _roomy),
    "Conv, depthwise": Entry("{y} = Conv<group = {c}>({x}, {k})", lambda s, w: {"k": w(s[1], 1, 1, 1)}, _image),
    "ConvTranspose": Entry(
        "{y} = ConvTranspose({x}, {k}, {b})", lambda s, w: {"k": w(s[1], 2, 2, 2), "b": w(2)}, _image
    ),
    "MatMul": Entry("{y} = MatMul({x}, {w})", lambda s, w: {"w": w(s[-1], 6)}),
    "MatMul from the left": Entry("{y} = MatMul({w}, {x})", lambda s, w: {"w": w(4, s[-2])}),
    "Einsum": Entry('{y} = Einsum<equation = "n...c,cd->n...d">({x}, {w})', lambda s, w: {"w": w(s[-1], 5)}),
    "Add": Entry("{y} = Add({x}, {w})", lambda s, w: {"w": w(*s[1:])}),
    "Add of two": Entry("{y} = Add({x}, {z})"),
    "Sub": Entry("{y} = Sub({w}, {x})", lambda s, w: {"w": w(s[-1])}),
    "Sub of two": Entry("{y} = Sub({x}, {z})"),
    "Mul by a constant": Entry("{y} = Mul({w}, {x})", lambda s, w: {"w": w(s[-1]) + 1}),
    "Div by a constant": Entry("{y} = Div({x}, {w})", lambda s, w: {"w": w(s[-1]) ** 2 + 1}),
    "Neg": Entry("{y} = Neg({x})"),
    "Sum": Entry("{y} = Sum({x}, {z}, {w})", lambda s, w: {"w": w(s[-1])}),
    "Mean": Entry("{y} = Mean({x}, {z})"),
    "Concat": Entry("{y} = Concat<axis = 1>({x}, {z})", fits=_small),
    "Where": Entry("{y} = Where({mask}, {x}, {z})", lambda s, w: {"mask": w(*s[1:]) > 0}),
    "Slice": Entry(
        "{y} = Slice({x}, {a}, {b}, {axes}, {step})",
        lambda s, w: {"a": ints(-1), "b": ints(-99), "axes": ints(1), "step": ints(-1)},
    ),
    "Split": Entry(
        "{y}a, {y}b = Split<axis = 1, num_outputs = 2>({x}) {y} = Sub({y}b, {y}a)", fits=lambda s: s[1] % 2 == 0
    ),
    "Pad": Entry(
        "{y} = Pad({x}, {pads}, {value})",
        lambda s, w: {"pads": ints(*[0] * (len(s) - 1), 1, *[0] * (len(s) - 1), 2), "value": scalar(0.4)},
        _small,
    ),
    "Pad, reflect": Entry(
        '{y} = Pad<mode = "reflect">({x}, {pads})',
        lambda s, w: {"pads": ints(*[0] * (len(s) - 1), 1, *[0] * len(s))},
        lambda s: _small(s) and _rowed(s),
    ),
    "Transpose": Entry("{y} = Transpose<perm = {turned}>({x})"),
    "Reshape": Entry("{y} = Reshape({x}, {to})", lambda s, w: {"to": ints(0, -1, s[-1])}),
    "Reshape to an image": Entry(
        "{y} = Reshape({x}, {to})", lambda s, w: {"to": ints(0, 2, -1, s[-1])}, lambda s: s[1] % 2 == 0
    ),
    "Squeeze": Entry(
        "{y}a = Unsqueeze({x}, {a}) {y}b = Sigmoid({y}a) {y} = Squeeze({y}b, {a})", lambda s, w: {"a": ints(1)}
    ),
    "Expand": Entry(
        "{y}a = ReduceMean({x}, {last}) {y}s = Shape({x}) {y} = Expand({y}a, {y}s)", lambda s, w: {"last": ints(-1)}
    ),
    "Tile": Entry("{y} = Tile({x}, {r})", lambda s, w: {"r": ints(*[1] * (len(s) - 1), 2)}, _small),
    "Gather": Entry("{y} = Gather<axis = 1>({x}, {i})", lambda s, w: {"i": ints(s[1] - 1, 0, 0)}),
    "GatherElements": Entry(
        "{y}s = Shape({x}) {y}i = Expand({i}, {y}s) {y} = GatherElements<axis = 1>({x}, {y}i)",
        lambda s, w: {"i": np.arange(s[1])[::-1].reshape(1, -1, *[1] * (len(s) - 2)).copy()},
    ),
    "GatherND": Entry(
        "{y}a = Transpose<perm = {swapped}>({x}) {y}b = GatherND({y}a, {i}) {y} = Transpose<perm = {swapped}>({y}b)",
        lambda s, w: {"i": np.array([[s[1] - 1], [0]])},
    ),
    "Identity": Entry("{y}a = Tanh({x}) {y} = Identity({y}a)"),
    "Cast": Entry("{y}a = Cast<to = 11>({x}) {y} = Cast<to = 1>({y}a)"),
    "Trilu": Entry("{y} = Trilu({x})"),
    "CumSum": Entry("{y} = CumSum({x}, {axis})", lambda s, w: {"axis": np.array(-1)}),
    "ReduceMean": Entry("{y} = ReduceMean({x}, {last})", lambda s, w: {"last": ints(-1)}),
    "ReduceSum": Entry("{y}a = ReduceSum({x}, {a}) {y} = Sub({x}, {y}a)", lambda s, w: {"a": ints(1)}),
    "BatchNormalization": Entry("{y} = BatchNormalization({x}, {scale}, {shift}, {mean}, {variance})", _channels),
    "AveragePool": Entry("{y} = AveragePool<kernel_shape = [2, 2], pads = [0, 1, 0, 0]>({x})", fits=_roomy),
    "GlobalAveragePool": Entry("{y}a = GlobalAveragePool({x}) {y} = Sub({x}, {y}a)"),
    "Resize": Entry(
        '{y} = Resize<mode = "linear">({x}, , {scales})',
        lambda s, w: {"scales": np.array([1, 1, 1.5, 0.5], np.float32)},
        _roomy,
    ),
    "DepthToSpace": Entry("{y} = DepthToSpace<blocksize = 2>({x})", fits=lambda s: _image(s) and s[1] % 4 == 0),
    "Col2Im": Entry(
        "{y}r = Reshape({x}, {rows}) {y} = Col2Im<strides = [2, 2]>({y}r, {size}, {block})",
        lambda s, w: {"rows": ints(0, s[1], -1), "size": ints(2 * s[2], 2 * s[3]), "block": ints(2, 2)},
        lambda s: _image(s) and s[1] % 4 == 0,
    ),
    "SpaceToDepth": Entry(
        "{y} = SpaceToDepth<blocksize = 2>({x})", fits=lambda s: _image(s) and s[2] % 2 == s[3] % 2 == 0
    ),
}
# what a network is made of, the common tables twice
TABLES = [LINEAR, UNARY, BINARY, PIECEWISE, ROWS, {**WINDOWS, **PRODUCTS}, LINEAR, UNARY]


def operators_drawn() -> set[str]:
    """Every operator that a network may hold."""
    texts = [entry.text for table in TABLES for entry in table.values()]
    return {"Flatten", "Gemm"}.union(*(re.findall(r"= (\w+)[(<]", text) for text in texts))


class Network:
    """A network and samples of its input."""

    def __init__(self, x: np.ndarray) -> None:
        self.feeds: Arrays = {"x": x}
        self.nodes: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self.values: dict[str, np.ndarray] = {"x": x}

    def __repr__(self) -> str:
        shapes = {name: value.shape for name, value in self.constants.items()}
        return f"Network of {self.feeds['x'].shape}: {' '.join(self.nodes)} with {shapes}"

    @property
    def model(self) -> onnx.ModelProto:
        """The network with a neuron behind it, so that it has one, and weights, so that nothing is a readout."""
        last = next(reversed(self.values))
        dims = ", ".join(map(str, self.feeds["x"].shape[1:]))
        body = " ".join([*self.nodes, f"flat = Flatten({last}) h = Tanh(flat) y = Gemm(h, out, bias)"])
        weights = {"out": _weights(99)(int(np.prod(self.values[last].shape[1:])), 4), "bias": normal(4, seed=98)}
        text = f"g (float[N, {dims}] x) => (float[N, 4] y) {{ {body} }}"
        return parse(text, _opset(body), **self.constants, **weights)

    def add(self, entry: Entry, x: str, z: str) -> None:
        """Add the nodes of an entry, and a scale where their result is large."""
        y = f"t{len(self.values)}"
        made = entry.constants(self.values[x].shape, _weights(len(self.values)))
        rank = self.values[x].ndim
        turned = [*range(rank - 2), rank - 1, rank - 2]
        words = {"c": self.values[x].shape[1], "turned": turned, "swapped": [1, 0, *range(2, rank)]}
        text = entry.text.format(x=x, z=z, y=y, **words, **{name: f"{y}_{name}" for name in made})
        self._extend(y, text, {f"{y}_{name}": array for name, array in made.items()})
        largest = float(np.abs(self.values[y]).max())
        assume(np.isfinite(largest))
        if largest > LARGEST:
            self._extend(f"{y}n", f"{y}n = Mul({y}, {y}_size)", {f"{y}_size": scalar(1 / largest)})

    def _extend(self, y: str, text: str, constants: Arrays) -> None:
        known = {name: self.values[name] for name in re.findall(r"\w+", text) if name in self.values}
        inputs = ", ".join(f"float[{', '.join(map(str, value.shape))}] {name}" for name, value in known.items())
        model = parse(f"g ({inputs}) => (float[] {y}) {{ {text} }}", _opset(text), **constants)
        self.values[y] = run_model(model, known)[y]
        self.nodes.append(text)
        self.constants.update({name: np.asarray(array) for name, array in constants.items()})


def _weights(seed: int) -> Callable[..., np.ndarray]:
    """Weights of a size that keeps values of order 1."""
    return lambda *shape: normal(*shape, seed=seed) / np.float32(np.sqrt(max(1, np.prod(shape[1:] or shape))))


def _opset(text: str) -> int:
    return max((version for op, version in OPSETS.items() if f"= {op}" in text), default=20)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A network of three to ten entries that ends in weights."""
    x = normal(SAMPLES, *draw(st.sampled_from(SHAPES)), seed=draw(st.integers(0, 99)))
    network = Network(x)
    for _ in range(draw(st.integers(3, 10))):
        names = list(network.values)[::-1]
        source = draw(st.sampled_from(names[:3]))
        shape = network.values[source].shape
        table = {name: entry for name, entry in draw(st.sampled_from(TABLES)).items() if entry.fits(shape)}
        entry = table[draw(st.sampled_from(sorted(table)))] if table else LINEAR["MatMul"]
        partner = draw(st.sampled_from([name for name in names if network.values[name].shape == shape]))
        network.add(entry, source, partner)
    return network
