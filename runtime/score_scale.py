"""What the readout makes of class scores before their order counts: a scale and an offset for each class."""

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

from spikec.runtime.parts import Parts

_AXES = 1  # of a scale or offset of rows (N, classes), at most


def find_score_scale(parts: Parts, name: str) -> tuple[str, np.ndarray, np.ndarray]:
    """The tensor that the readout makes ``name`` of by Mul and Add with constants, with scale and offset.

    Scale and offset are () or (classes,), in float64; the walk ends at the first node that does anything else.
    """
    makers = {output: node for node in parts.readout for output in node.output if output}
    constants = {tensor.name: tensor for tensor in parts.constants}
    scale, offset = np.ones(()), np.zeros(())
    while name in makers and (step := _operand(makers[name], constants)) is not None:
        name, op, value = step
        if op == "Mul":  # it stands before what was found so far: s*(v*x) + o
            scale = scale * value
        else:
            offset = offset + scale * value
    return name, scale, offset


def _operand(node: NodeProto, constants: Mapping[str, TensorProto]) -> tuple[str, str, np.ndarray] | None:
    """What ``node`` reads, and the operator and constant it applies; None where it is another kind of node."""
    if node.op_type == "Identity":
        return str(node.input[0]), "Add", np.zeros(())
    if node.op_type not in ("Mul", "Add") or node.domain:
        return None
    still = [name for name in node.input if name in constants]
    if len(still) != 1:
        return None
    value = numpy_helper.to_array(constants[still[0]]).astype(np.float64)
    other = next(str(name) for name in node.input if name not in constants)
    return (other, node.op_type, value) if value.ndim <= _AXES else None
