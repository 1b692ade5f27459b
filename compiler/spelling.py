"""Operators that are many neurons give way to ONNX's own definition of them, and CastLike to the Cast that it means."""

from collections.abc import Callable

import onnx
import onnx.inliner

from spikec.errors import ModelError

OPERATORS = ("Attention", "RotaryEmbedding")


def spell_out(model: onnx.ModelProto, infer_shapes: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """Attention (opset 23) becomes its products, mask and softmax, RotaryEmbedding its products and sums.

    The parts of a node NAME are called NAME/PART. Every node of ``model`` has a name.

    Raises:
        ModelError: ONNX cannot put the definition in the place of a node.
    """
    replaced = [node for node in model.graph.node if node.op_type in OPERATORS and not node.domain]
    if not replaced:
        return model
    kept = {name for node in model.graph.node if node not in replaced for name in node.output}
    callers = {name: node.name for node in replaced for name in node.output if name}
    model = infer_shapes(model)
    _note_types_of_constants(model)
    operators = [("", name) for name in OPERATORS]
    try:
        model = onnx.inliner.inline_selected_functions(model, operators, inline_schema_functions=True)
    except RuntimeError as error:  # optional inputs left out in the middle, types that cannot be inferred
        first = replaced[0]
        raise ModelError(
            f"node '{first.name}' ({first.op_type}): ONNX's own definition cannot take its place ({error}); export the "
            "model with an opset below 23, where it is spelled out"
        ) from error
    _name_parts(model, kept, callers)
    return model


def name_types(model: onnx.ModelProto, infer_shapes: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """CastLike(x, y) becomes a Cast to the type of y, where inference knows it: y is no part of any computation."""
    if not any(node.op_type == "CastLike" and not node.domain for node in model.graph.node):
        return model
    model = infer_shapes(model)
    _note_types_of_constants(model)
    types = {i.name: i.type.tensor_type.elem_type for i in [*model.graph.input, *model.graph.value_info]}
    for node in (node for node in model.graph.node if node.op_type == "CastLike" and not node.domain):
        if target := types.get(node.input[1]):
            node.op_type = "Cast"
            del node.input[1]
            node.attribute.append(onnx.helper.make_attribute("to", target))
    return model


def _note_types_of_constants(model: onnx.ModelProto) -> None:
    """The inliner looks for them among the values of the graph."""
    known = {info.name for info in [*model.graph.input, *model.graph.value_info]}
    for tensor in model.graph.initializer:
        if tensor.name not in known:
            info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            model.graph.value_info.append(info)


def _name_parts(model: onnx.ModelProto, kept: set[str], callers: dict[str, str]) -> None:
    """The parts of one node stand in a row that ends where its own output is made."""
    parts: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if kept.isdisjoint(node.output):
            parts.append(node)
        for caller in {callers[name] for name in node.output if name in callers}:
            for part in parts:
                part.name = f"{caller}/{part.output[0]}"
            parts = []
