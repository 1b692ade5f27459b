"""Networks that round their activations: how they are told to be the same network.

Where x / scale lies half-way between two integers, the last bit of x decides, and what follows carries a whole level
on. Two correct evaluations of one 8-bit network then lie 0.01 apart. So rounding is compared in two ways: bit by bit,
where the rewrites so far keep the order of all sums (onnxruntime told not to rearrange them either), and later with a
continuous function in the place of Round.
"""

import onnx

from spikec.passes import OpenQuantisation, OpenQuantisedArithmetic, Pass

_QUANTISING = frozenset(("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"))


def is_quantised(model: onnx.ModelProto) -> bool:
    """Whether the model quantises or dequantises anything, weights included."""
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return any(node.op_type in _QUANTISING for node in nodes)


def change_by(rewrite: Pass) -> str:
    """What a rewrite does to a quantised network that changes its outputs; nothing of all others."""
    if isinstance(rewrite, OpenQuantisedArithmetic):
        return "sums of quantised integers are made in float"
    if isinstance(rewrite, OpenQuantisation) and not rewrite.rounds:
        return "quantised activations are left in float (--quantisation drop)"
    return ""


def without_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with soft shrinkage, sign(x) * max(|x| - 1/2, 0), for each Round, in functions as well.

    It is continuous and no steeper than the identity, so that errors of the last bit stay as small as they are; and it
    moves nearly every number by half a level, so that a Round that got lost is seen.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in [*copy.graph.node, *(node for function in copy.functions for node in function.node)]:
        if node.op_type == "Round" and not node.domain:
            node.op_type = "Shrink"
            node.attribute.extend(onnx.helper.make_attribute(name, 0.5) for name in ("bias", "lambd"))
    return copy
