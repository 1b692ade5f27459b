"""ONNX's shape inference without carrying the weights along: it would copy them four times, after every pass."""

import onnx

from spikec.errors import ModelError
from spikec.sizes import refuse_too_large, tensor_bytes

WEIGHTS = 2**16  # bytes: shapes are computed from tensors far smaller than this


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` itself, with the shapes that ONNX can infer noted on its tensors.

    Raises:
        ModelError: it has become too large for ONNX, or its shapes contradict each other.
    """
    refuse_too_large(model, "the model")  # a pass may have made tables larger than all weights together
    del model.graph.value_info[:]  # stale notes would be trusted
    try:
        noted = onnx.shape_inference.infer_shapes(_without_weights(model), data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise ModelError(f"the model's shapes contradict each other: {first_line(error)}") from error
    for field, found in ((model.graph.node, noted.node), (model.graph.output, noted.output)):
        del field[:]
        field.extend(found)
    model.graph.value_info.extend(noted.value_info)
    return model


def first_line(error: Exception) -> str:
    """What a third party's error says first, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` in which large constants are inputs of the same type."""
    copy = onnx.ModelProto(ir_version=model.ir_version)
    copy.opset_import.extend(model.opset_import)
    copy.functions.extend(model.functions)
    graph = model.graph
    copy.graph.name = graph.name
    copy.graph.node.extend(graph.node)
    copy.graph.input.extend(graph.input)
    copy.graph.output.extend(graph.output)
    copy.graph.sparse_initializer.extend(graph.sparse_initializer)
    given = {info.name for info in graph.input}  # IR 3 lists constants among the inputs
    for tensor in graph.initializer:
        if tensor_bytes(tensor) <= WEIGHTS:
            copy.graph.initializer.append(tensor)
        elif tensor.name not in given:
            copy.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return copy
