"""Where quantised integers go between QuantizeLinear and DequantizeLinear, as whole numbers in float32."""
# ruff: noqa: SIM905 - a table of names reads best as words

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.quantiser import Quantiser
from spikec.passes.surgery import constant, element_type, is_output, values_of

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
# Give out elements of what they read, or their places, and never a new number.
_MOVERS: frozenset[str] = frozenset(
    "Identity Reshape Flatten Transpose Squeeze Unsqueeze Expand Tile Concat Split Slice Pad Gather GatherElements "
    "GatherND DepthToSpace SpaceToDepth MaxPool GlobalMaxPool ReduceMax ReduceMin Max Min Clip Relu "
    "Where ArgMax ArgMin TopK".split()
)
# Hand on elements of their first input, and of no other, but for zeros of Pad and Relu.
_WIRES: frozenset[str] = frozenset(
    "Identity Reshape Flatten Transpose Squeeze Unsqueeze Expand Tile Split Slice Pad Gather GatherElements GatherND "
    "DepthToSpace SpaceToDepth MaxPool GlobalMaxPool ReduceMax ReduceMin Relu Resize".split()
)
_SHAPE_ONLY = ("Shape", "Size")
WAY_OUT = (
    "quantise in the form QDQ, where weights meet floats: onnxruntime.quantization.quantize_static(..., "
    "quant_format=QuantFormat.QDQ)"
)


def is_standard(node: gs.Node, op: str) -> bool:
    """Whether ``node`` is the operator ``op`` of ONNX itself."""
    return bool(node.op == op) and node.domain in (None, "", "ai.onnx")


class QuantisedPath:
    """The tensors whose integers are now float32, from one node to the next in topological order.

    All integers of up to 16 bits are exact there, and what moves or compares them does the same in any type.
    """

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.types: dict[str, int] = {}  # tensor -> the type that it had
        self.quantisers: dict[str, Quantiser] = {}  # tensor -> what put it, in float, on its levels

    def add(self, tensor: gs.Variable) -> None:
        """Note that ``tensor`` is float32 from now on; an output of the graph is cast back."""
        kind = element_type(tensor)
        if is_output(self.graph, tensor):
            tensor = self._inside(tensor, kind)
        self.types[tensor.name] = kind
        tensor.dtype = np.float32

    def carries(self, node: gs.Node) -> bool:
        """Whether ``node``, an operator of ONNX, reads one of the tensors, and more of it than its shape."""
        reads = any(tensor.name in self.types for tensor in node.inputs)
        return reads and node.op not in _SHAPE_ONLY and is_standard(node, node.op)

    def widen(self, node: gs.Node) -> None:
        """Let ``node`` work in float32, its constants and outputs with it.

        Raises:
            UnsupportedNode: its result would be another number, or it joins integers from elsewhere.
        """
        if node.op == "Cast" and node.attrs["to"] in _FLOATS:
            return
        if not _moves(node):
            raise UnsupportedNode(node.name, node.op, "it computes with quantised integers", WAY_OUT)
        kinds = {self.types[tensor.name] for tensor in node.inputs if tensor.name in self.types}
        for i, tensor in enumerate(node.inputs):
            if tensor.name not in self.types and element_type(tensor) in kinds:
                node.inputs[i] = _in_float(node, tensor)
        for tensor in node.outputs:
            if element_type(tensor) in kinds:  # MaxPool has indices beside
                self.add(tensor)

    def _inside(self, tensor: gs.Variable, kind: int) -> gs.Variable:
        inside = gs.Variable(f"{tensor.name}/float32", np.float32, tensor.shape)
        maker = tensor.inputs[0]
        maker.outputs = [inside if item is tensor else item for item in maker.outputs]
        for reader in list(tensor.outputs):
            reader.inputs = [inside if item is tensor else item for item in reader.inputs]
        self.graph.nodes.append(gs.Node("Cast", f"{tensor.name}/integers", {"to": kind}, [inside], [tensor]))
        return inside


def origin(tensor: gs.Tensor) -> gs.Tensor:
    """The tensor whose elements, and zeros, are all that ``tensor`` has."""
    while tensor.inputs and _hands_on(tensor.inputs[0]):
        tensor = tensor.inputs[0].inputs[0]
    return tensor


def _hands_on(node: gs.Node) -> bool:
    if node.op == "Pad" and len(node.inputs) > 2 and node.inputs[2].name:
        fill = values_of(node.inputs[2])
        return fill is not None and not fill.any()
    return is_standard(node, node.op) and node.op in _WIRES and _is_nearest(node)


def _moves(node: gs.Node) -> bool:
    return node.op in _MOVERS or (node.op == "Resize" and _is_nearest(node))


def _is_nearest(node: gs.Node) -> bool:
    return node.op != "Resize" or bool(node.attrs.get("mode", "nearest") == "nearest")


def _in_float(node: gs.Node, tensor: gs.Tensor) -> gs.Constant:
    if not isinstance(tensor, gs.Constant):
        raise UnsupportedNode(node.name, node.op, f"it joins quantised integers with '{tensor.name}'", WAY_OUT)
    return constant(f"{tensor.name}/float32", np.asarray(tensor.values).astype(np.float32))
