"""What a QuantizeLinear or DequantizeLinear says: the scale, the zero point and the range of its integers."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.surgery import element_type, values_of

_KIND = onnx.TensorProto
# smallest and largest integer of each type that ONNX quantises to
_RANGES: dict[int, tuple[float, float]] = {
    _KIND.INT8: (-128, 127),
    _KIND.UINT8: (0, 255),
    _KIND.INT16: (-(2**15), 2**15 - 1),
    _KIND.UINT16: (0, 2**16 - 1),
    _KIND.INT4: (-8, 7),
    _KIND.UINT4: (0, 15),
    _KIND.INT2: (-2, 1),
    _KIND.UINT2: (0, 3),
}
_PRECISIONS = (_KIND.UNDEFINED, _KIND.FLOAT)
_STATIC = "quantise activations with fixed scales: onnxruntime.quantization.quantize_static"


@dataclass(frozen=True)
class Quantiser:
    """q = saturate(round(x / scale) + zero) to the integers low..high, and x = (q - zero) * scale on the way back.

    ``scale`` and ``zero`` are float32, both scalars, or both of a shape that is broadcast along the other axes.
    Types that are no integers (float8) have no ``low`` and ``high``: they are infinite.
    """

    scale: np.ndarray
    zero: np.ndarray
    low: float
    high: float

    @property
    def clips_negatives(self) -> bool:
        """Whether the smallest integer stands for 0: then the quantiser does what a Relu does."""
        return bool((self.zero == self.low).all())

    def undoes(self, other: "Quantiser") -> bool:
        """Whether dequantising by this gives back, but for rounding, what ``other`` quantised."""
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)

    def keeps(self, other: "Quantiser") -> bool:
        """Whether this leaves all numbers as they are that lie on the levels of ``other``, wherever in the tensor."""
        same = self.undoes(other) and (self.low, self.high) == (other.low, other.high)
        return same and not self.scale.ndim


def read_quantiser(node: gs.Node) -> Quantiser:
    """What the node says.

    Raises:
        UnsupportedNode: scale or zero point are computed in the graph, are given by blocks, or along an axis of a
            tensor of unknown rank; or the division is not to be in float32.
    """
    if node.attrs.get("precision", 0) not in _PRECISIONS:
        _refuse(node, "its division is not in float32", "leave out its attribute precision")
    scale = _along_axis(node, _parameter(node, 1))
    zero = _along_axis(node, _parameter(node, 2)) if _has_zero(node) else np.zeros_like(scale)
    low, high = _RANGES.get(_integers(node), (-np.inf, np.inf))
    return Quantiser(scale, zero, low, high)


def _has_zero(node: gs.Node) -> bool:
    return len(node.inputs) > 2 and bool(node.inputs[2].name)


def _integers(node: gs.Node) -> int:
    """ONNX's number of the type of the quantised side; uint8 where nothing says otherwise."""
    if node.op == "DequantizeLinear":
        return element_type(node.inputs[0])
    stored = element_type(node.inputs[2]) if _has_zero(node) else 0
    return int(stored or node.attrs.get("output_dtype", 0) or _KIND.UINT8)


def _parameter(node: gs.Node, position: int) -> np.ndarray:
    values = values_of(node.inputs[position])
    if values is None:
        _refuse(node, "its scale or zero point is computed while the network runs", _STATIC)
    return np.asarray(values).astype(np.float32)


def _along_axis(node: gs.Node, values: np.ndarray) -> np.ndarray:
    """One value for the tensor, or a vector of them along the axis of the node, in a shape that is broadcast."""
    if values.ndim > 1:
        _refuse(node, "it quantises activations by blocks", "quantise activations per tensor or per axis")
    if values.size == 1:
        return values.reshape(())
    return values.reshape(-1, *[1] * _axes_behind(node))


def _axes_behind(node: gs.Node) -> int:
    axis, shape = int(node.attrs.get("axis", 1)), node.inputs[0].shape
    if axis < 0:
        return -axis - 1
    if shape is None:
        _refuse(node, "the rank of its input is unknown", "export the model with shapes, or quantise per tensor")
    return len(shape) - axis - 1


def _refuse(node: gs.Node, reason: str, way_out: str) -> NoReturn:
    raise UnsupportedNode(node.name, node.op, reason, way_out)
