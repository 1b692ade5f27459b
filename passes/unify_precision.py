"""The network is computed in float32 inside, whatever precision its file was written in."""

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from spikec.passes.records import Record
from spikec.passes.surgery import append, constant, element_type

_FLOAT = onnx.TensorProto.FLOAT
_OTHERS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)


class UnifyPrecision:
    """Turns float16, bfloat16 and float64 into float32, and casts at the border: inputs and outputs keep their types.

    before: x(float16) -> Conv(float16) -> y(float16)
    after:  x(float16) -> Cast -> Conv(float32) -> Cast -> y(float16)

    Why: an integrator sums thousands of small events; in half precision the sum would stop growing.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Rewrite constants, casts and borders; a float32 graph is returned as it is."""
        record = Record()
        _widen_constants(graph, record)
        _widen_casts(graph, record)
        borders = [t for t in [*graph.inputs, *graph.outputs] if _is_other_float(t)]
        inside = [t for t in graph.tensors().values() if not any(t is border for border in borders)]
        for tensor in inside:
            if isinstance(tensor, gs.Variable) and _is_other_float(tensor):
                tensor.dtype = np.float32
        for tensor in borders:
            _cast_border(graph, tensor)
            record.rewrote.append(tensor.name)
        return graph.toposort(), record


def _is_other_float(tensor: gs.Tensor) -> bool:
    return element_type(tensor) in _OTHERS


def _widen_constants(graph: gs.Graph, record: Record) -> None:
    for node in graph.nodes:
        for i, tensor in enumerate(node.inputs):
            if isinstance(tensor, gs.Constant) and _is_other_float(tensor):
                node.inputs[i] = constant(tensor.name, np.asarray(tensor.values).astype(np.float32))
                record.rewrote.append(tensor.name)


def _widen_casts(graph: gs.Graph, record: Record) -> None:
    for node in graph.nodes:
        for key in ("to", "dtype"):
            if node.attrs.get(key) in _OTHERS:
                node.attrs[key] = _FLOAT
                record.rewrote.append(node.name)
        value = node.attrs.get("value")
        if isinstance(value, gs.Constant) and _is_other_float(value):
            node.attrs["value"] = constant(value.name, np.asarray(value.values).astype(np.float32))
            record.rewrote.append(node.name)


def _cast_border(graph: gs.Graph, tensor: gs.Variable) -> None:
    wide = gs.Variable(f"{tensor.name}/float32", np.float32, tensor.shape)
    if tensor.inputs:  # an output: computed wide, cast back under its own name
        producer = tensor.inputs[0]
        producer.outputs = [wide if item is tensor else item for item in producer.outputs]
        for consumer in list(tensor.outputs):
            consumer.inputs = [wide if item is tensor else item for item in consumer.inputs]
        to = element_type(tensor)
        graph.nodes.append(gs.Node("Cast", f"{tensor.name}/narrow", {"to": to}, [wide], [tensor]))
        return
    consumers = list(tensor.outputs)
    wide = append(graph, "Cast", [tensor], f"{tensor.name}/widen", to=_FLOAT)
    wide.dtype = np.float32
    for consumer in consumers:
        consumer.inputs = [wide if item is tensor else item for item in consumer.inputs]
