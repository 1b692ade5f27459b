"""One operator with weights behind it: what the tests of the passes rewrite that open operators."""

import numpy as np
import onnx

from spikec.passes import PlaceNeurons, Record
from tests.models.graphs import Rewrite, count, keeps_outputs, parse, run_pass, scalar, with_ranks

WEIGHTS = 'y = Einsum<equation = "...,->...">(a, unit)'  # else the operator were a readout


def operator_model(
    call: str, x: np.ndarray, opset: int = 20, dims: str = "", **constants: np.ndarray
) -> onnx.ModelProto:
    """``[op] a = call``, then a weight of one; ``dims`` is the declared shape of x, else (N, rest of its shape)."""
    dims = dims or ", ".join(["N", *map(str, x.shape[1:])])
    text = f"g (float[{dims}] x) => (float[] y) {{ [op] a = {call} {WEIGHTS} }}"
    return with_ranks(parse(text, opset, unit=scalar(1), **constants), {"x": x})


def opened(
    rewrite: Rewrite, call: str, x: np.ndarray, opset: int = 20, **constants: np.ndarray
) -> tuple[onnx.ModelProto, Record]:
    """The model after the rewrite, checked: same outputs, the operator gone, neurons left that granularity strict has.

    All nodes but the weight are named ``op/<part>``, as planning wants it.
    """
    model, record = keeps_outputs(rewrite, operator_model(call, x, opset, **constants), {"x": x})
    assert record.rewrote == ["op"] and not record.skipped
    assert count(model, call.split("(")[0].split("<")[0]) == 0
    assert all(node.name.startswith("op/") for node in model.graph.node if node.op_type != "Einsum")
    run_pass(PlaceNeurons("strict"), model)
    return model, record


def kinds(model: onnx.ModelProto) -> list[tuple[str, str]]:
    """Operator and kind of every neuron that granularity strict places in the model."""
    placed, _ = run_pass(PlaceNeurons("strict"), model)
    nodes = [node for node in placed.graph.node if node.domain]
    attrs = [{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in nodes]
    return sorted((node.op_type.split("_")[0], a["kind"].decode()) for node, a in zip(nodes, attrs, strict=True))
