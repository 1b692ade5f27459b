"""Whether a model that was handed over is a whole and valid ONNX model."""

import onnx
from onnx.external_data_helper import _get_all_tensors, uses_external_data

from spikec.errors import ModelError
from spikec.runtime.manifest import KEY
from spikec.sizes import refuse_too_large


def check_valid(model: onnx.ModelProto, name: str) -> None:
    """Refuse what is no ONNX model; ``name`` is what messages call it.

    Raises:
        ModelError: it has no graph or an empty one, is an artifact, lacks its weights, is too large, or breaks a rule
            of ONNX.
    """
    if not model.HasField("graph") or not model.opset_import:
        raise ModelError(f"{name} is not an ONNX model: it holds no graph")
    if any(entry.key == KEY for entry in model.metadata_props):
        raise ModelError(
            f"{name} is a spiking network that spikec compile wrote; give the trained network that it was made from"
        )
    stored = {tensor.name for tensor in model.graph.initializer}
    if not model.graph.node or not model.graph.output or all(info.name in stored for info in model.graph.input):
        raise ModelError(f"{name} has no inputs, no outputs or no nodes: there is nothing to convert")
    missing = next((tensor.name for tensor in _get_all_tensors(model) if uses_external_data(tensor)), None)
    if missing is not None:
        raise ModelError(
            f"{name}: the weights of '{missing}' are in another file that was not read; load it with onnx.load(path), "
            "or give the path itself"
        )
    refuse_too_large(model, name)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{name} is not a valid ONNX model: {reason(error)}; export it again") from error


def loses_tensors(graph: onnx.GraphProto) -> bool:
    """Whether a node reads what no input, initializer or earlier node gives."""
    known = {"", *(info.name for info in graph.input), *(tensor.name for tensor in graph.initializer)}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    for node in graph.node:
        if not known.issuperset(node.input):
            return True
        known.update(node.output)
    return False


def reason(error: Exception) -> str:
    """What a third party's error says, in one line; ONNX's checker puts the node's name behind the reason."""
    parts = [" ".join(part.split()) for part in str(error).split("==> Context:")]
    text = parts[0] + "".join(f" ({part})" for part in parts[1:])
    return text[:300] or type(error).__name__
