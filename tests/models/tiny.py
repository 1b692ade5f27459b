"""Networks of a handful of nodes, in memory: every node bears a name that messages can be checked for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

Arrays = Mapping[str, np.ndarray]

MLP = """mlp (float[N, 6] x) => (float[N, 3] y) {
  [first] a = Gemm(x, w1, b1) [act] h = Relu(a) [last] y = Gemm(h, w2, b2)
}"""
# what stands between the two layers of the MLP, in place of its Relu
BETWEEN = (
    "between (float[N, 6] x) => (float[N, 3] y) {{ [first] a = Gemm(x, w1, b1) {middle} [last] y = Gemm(h, w2, b2) }}"
)
CNN = """cnn (float[N, 2, 6, 6] image) => (float[N, 3] scores) {
  [conv] a = Conv<pads = [1, 1, 1, 1]>(image, k1, c1)
  [act] h = Relu(a)
  [pool] p = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(h)
  [flat] f = Flatten(p)
  [head] scores = Gemm(f, w3, b3)
}"""
TWO_INPUTS = """two (float[N, 6] left, float[N, 6] right) => (float[N, 3] y) {
  [mix] a = Add(left, right) [act] h = Relu(a) [last] y = Gemm(h, w2, b2)
}"""


def build(graph: str, opset: int = 20, extra: Arrays | None = None) -> onnx.ModelProto:
    """The network that ``graph`` spells in ONNX's text form; w1, w2, k1... are seeded weights for it to use."""
    foreign = ', "made.up": 1' if "made.up" in graph else ""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": {opset}{foreign}]> {graph}')
    stored = {**_weights(), **(extra or {})}
    read = _names_read(model.graph)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in stored.items() if name in read
    )
    return model


def mlp(**settings: int) -> onnx.ModelProto:
    """Gemm, Relu, Gemm: x (N, 6) to y (N, 3)."""
    return build(MLP, **settings)


def cnn() -> onnx.ModelProto:
    """Conv, Relu, AveragePool, Gemm: image (N, 2, 6, 6) to scores (N, 3)."""
    return build(CNN)


def two_inputs() -> onnx.ModelProto:
    """left and right (N, 6), added, through Relu and Gemm."""
    return build(TWO_INPUTS)


def between(middle: str, **settings: int) -> onnx.ModelProto:
    """Gemm, then ``middle`` from a (N, 6) to h (N, 6), then Gemm."""
    return build(BETWEEN.format(middle=middle), **settings)


def samples(count: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs for the MLP with labels."""
    generator = np.random.default_rng(seed)
    return {"x": generator.standard_normal((count, 6)).astype(np.float32), "labels": generator.integers(0, 3, count)}


def images(count: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs for the CNN."""
    return {"image": np.random.default_rng(seed).standard_normal((count, 2, 6, 6)).astype(np.float32)}


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write the model into one file."""
    path.write_bytes(model.SerializeToString())
    return path


def save_external(model: onnx.ModelProto, path: Path, location: str = "weights.bin") -> Path:
    """Write the model with all weights in the file ``location`` beside it."""
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def _weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    shapes = {
        "w1": (6, 6),
        "b1": (6,),
        "w2": (6, 3),
        "b2": (3,),
        "k1": (4, 2, 3, 3),
        "c1": (4,),
        "w3": (36, 3),
        "b3": (3,),
    }
    return {name: (generator.standard_normal(s) / np.sqrt(s[0])).astype(np.float32) for name, s in shapes.items()}


def _names_read(graph: onnx.GraphProto) -> set[str]:
    """What the nodes read, those of inner graphs included."""
    names = {name for node in graph.node for name in node.input}
    inner = [attr.g for node in graph.node for attr in node.attribute if attr.HasField("g")]
    return names.union(*(_names_read(part) for part in inner))
