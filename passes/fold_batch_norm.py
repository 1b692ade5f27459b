"""Batch normalisation at inference is an affine map per channel: it belongs into the weights before it."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.records import Record
from spikec.passes.surgery import bypass, constant, is_output, values_of

# axis of the output channel in the weight tensor (Gemm: by transB)
_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1}


class FoldBatchNorm:
    """Folds BatchNormalization into the Conv, ConvTranspose or Gemm that alone feeds it.

    before: x -> Conv(W, b) -> BatchNormalization(s, B, m, v)
    after:  x -> Conv(W*k, (b - m)*k + B)  with k = s / sqrt(v + epsilon)
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Fold where the weights are constant and used once; elsewhere the node stays, affine as it is."""
        record = Record()
        for node in [n for n in graph.nodes if n.op == "BatchNormalization"]:
            reason = _refusal(graph, node)
            if reason:
                record.skip(node, reason)
                continue
            record.rewrote.append(node.name)
            record.absorbed[node.outputs[0].name] = node.inputs[0].inputs[0].name
            _fold(node)
        return graph.cleanup().toposort(), record


def _refusal(graph: gs.Graph, norm: gs.Node) -> str | None:
    source = norm.inputs[0]
    if norm.attrs.get("training_mode", 0):
        return "it is in training mode: it normalises by the batch at hand"
    if len(source.inputs) != 1 or source.inputs[0].op not in (*_CHANNEL_AXIS, "Gemm"):
        return "no Conv, ConvTranspose or Gemm right before it"
    weighted = source.inputs[0]
    if len(source.outputs) != 1 or is_output(graph, source):
        return f"the output of {weighted.name} is used elsewhere too"
    if is_output(graph, norm.outputs[0]):
        return "its output is an output of the graph, whose name must stay"
    if weighted.op == "ConvTranspose" and int(weighted.attrs.get("group", 1)) != 1:
        return "grouped ConvTranspose"
    if any(tensor.name and values_of(tensor) is None for tensor in [*weighted.inputs[1:], *norm.inputs[1:]]):
        return "its parameters or the weights before it are computed"
    if weighted.op == "Gemm" and np.ndim(_bias(weighted)) > 1:
        return "the Gemm before it adds a matrix"
    return None


def _bias(weighted: gs.Node) -> np.ndarray:
    """The bias before the norm, 0 where there is none (an input that is left out has no name)."""
    given = len(weighted.inputs) > 2 and weighted.inputs[2].name
    return np.asarray(weighted.inputs[2].values if given else 0.0, np.float64)


def _fold(norm: gs.Node) -> None:
    weighted = norm.inputs[0].inputs[0]
    scale, shift, mean, variance = (np.asarray(t.values, np.float64) for t in norm.inputs[1:5])
    factor = scale / np.sqrt(variance + float(norm.attrs.get("epsilon", 1e-5)))
    weight = np.asarray(weighted.inputs[1].values)
    bias = _bias(weighted) * float(weighted.attrs.pop("beta", 1.0))  # beta: Gemm alone has it
    axis = _channel_axis(weighted)
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    folded = [
        constant(f"{norm.name}/weight", (weight * factor.reshape(shape)).astype(weight.dtype)),
        constant(f"{norm.name}/bias", ((bias - mean) * factor + shift).astype(weight.dtype)),
    ]
    weighted.inputs = [weighted.inputs[0], *folded]
    bypass(norm)


def _channel_axis(weighted: gs.Node) -> int:
    if weighted.op == "Gemm":
        return 0 if weighted.attrs.get("transB", 0) else 1
    return _CHANNEL_AXIS[weighted.op]
