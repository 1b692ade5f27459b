"""Nodes whose inputs are all constant are computed once, at compile time."""

import math
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx.reference import ReferenceEvaluator

from spikec.passes.operators import CONTROL_FLOW
from spikec.passes.records import Record
from spikec.passes.surgery import constant, element_type, is_output, values_of

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_LARGEST = 1 << 27  # elements; a constant beyond half a gigabyte is better computed than stored
_REPEATING = {"ConstantOfShape", "Expand", "EyeLike", "Gather", "GatherElements", "GatherND", "OneHot", "Tile"}
_ROOM = 1 << 30  # bytes of constants; an ONNX model holds 2 GiB, and some of that is left to what must be folded
_SMALL = 1 << 20  # bytes that a node may add in any case: shapes, masks and pads are to be known


class FoldConstants:
    """Replaces computed constants by their values.

    before: 2 -> ConstantOfShape -> Concat -> pads        after: pads (an initializer)
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Evaluate with the ONNX reference implementation every node that has only constant inputs."""
        record, stored = Record(), sum(_bytes(t) for t in graph.tensors().values() if isinstance(t, gs.Constant))
        for node in list(graph.nodes):
            if not _is_constant(node) or any(is_output(graph, tensor) for tensor in node.outputs):
                continue
            try:
                values = evaluate(node, graph.opset)
            except Exception as error:  # inputs that the operator does not take; the reference raises what it likes
                record.skip(node, f"it cannot be computed: {error}")
                continue
            reason = _refusal(values) or _no_room(node, values, stored)
            if reason:
                record.skip(node, reason)
                continue
            stored += max(0, _growth(node, values))  # what it read may be read by others
            _replace(node, [np.asarray(value) for value in values])
            record.rewrote.append(node.name)
        return graph.cleanup().toposort(), record


def _is_constant(node: gs.Node) -> bool:
    if node.op in CONTROL_FLOW | _RANDOM or node.domain not in (None, "", "ai.onnx"):
        return False
    return all(not tensor.name or isinstance(tensor, gs.Constant) for tensor in node.inputs)


def _refusal(values: list[Any]) -> str | None:
    if not all(isinstance(value, np.ndarray | np.generic) for value in values):
        return "its value is no tensor"
    if any(value.size > _LARGEST for value in values):
        return f"its value has more than {_LARGEST} elements"
    return None


def _no_room(node: gs.Node, values: list[Any], stored: int) -> str | None:
    """Values that only repeat others are not worth their bytes: the tables of relative positions of a transformer,
    read out for every pair of tokens and every layer, are larger than its weights."""
    growth = _growth(node, values)
    if node.op not in _REPEATING or growth <= _SMALL or stored + growth <= _ROOM:
        return None
    return f"its value repeats what it reads, {growth} bytes more, and the constants would have more than {_ROOM} bytes"


def _growth(node: gs.Node, values: list[Any]) -> int:
    return int(sum(value.nbytes for value in values) - sum(_bytes(tensor) for tensor in node.inputs if tensor.name))


def _bytes(tensor: gs.Constant) -> int:
    """Of its values, which are not read for that."""
    return int(math.prod(tensor.shape) * onnx.helper.tensor_dtype_to_np_dtype(element_type(tensor)).itemsize)


def evaluate(node: gs.Node, opset: int) -> list[Any]:
    """The outputs of ``node``, whose inputs are constants, by the ONNX reference implementation."""
    feeds = {tensor.name: values_of(tensor) for tensor in node.inputs if tensor.name}
    inputs = [onnx.helper.make_empty_tensor_value_info(name) for name in feeds]
    outputs = [onnx.helper.make_empty_tensor_value_info(tensor.name) for tensor in node.outputs]
    proto = gs.exporters.onnx_exporter.OnnxExporter.export_node(node)
    graph = onnx.helper.make_graph([proto], "constant", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return list(ReferenceEvaluator(model).run(None, feeds))


def _replace(node: gs.Node, values: list[np.ndarray]) -> None:
    for tensor, value in zip(list(node.outputs), values, strict=True):
        folded = constant(tensor.name, value)
        for consumer in list(tensor.outputs):
            consumer.inputs = [folded if item is tensor else item for item in consumer.inputs]
    node.outputs.clear()
