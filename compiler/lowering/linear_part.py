"""The linear part of an affine node: what it does to a change of its inputs."""

from collections.abc import Callable, Mapping
from typing import Protocol

import onnx
from onnx import helper

# position of an input that only adds a constant
_BIAS = {"Conv": 2, "ConvTranspose": 2, "Pad": 2}


class Scope(Protocol):
    """Where a step graph finds the tensors that are not deltas."""

    def parameter(self, name: str) -> str:
        """Name, in the step graph, of a tensor that does not change with time."""
        ...

    def zeros_like(self, name: str) -> str:
        """Name of a tensor of zeros shaped as the tensor ``name``, which does not change with time."""
        ...

    def same_shape(self, name: str, other: str) -> bool:
        """Whether two tensors are known to have the same shape."""
        ...


def linear_part(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """Nodes that compute the change of ``node``'s first output from the changes of its inputs.

    Args:
        node: an affine node (``spikec.passes.operators``).
        deltas: position of each input that changes -> name of its delta.
        output: name for the delta of the output.
        scope: resolves the other inputs.

    Returns:
        Nodes in order; none where the change passes through as it is (then it is the only one in ``deltas``).
    """
    rule: Callable[..., list[onnx.NodeProto]] = _RULES.get(node.op_type, _homogeneous)
    return rule(node, deltas, output, scope)


def _homogeneous(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """The same operator, its constant term left out."""
    inputs = []
    for i, name in enumerate(node.input):
        if i in deltas:
            inputs.append(deltas[i])
        elif not name or i == _BIAS.get(node.op_type):
            inputs.append("")
        else:
            inputs.append(scope.parameter(name))
    while inputs and not inputs[-1]:
        inputs.pop()
    outputs = [output, *(f"{name}/delta" if name else "" for name in node.output[1:])]
    return [_copy(node, inputs, outputs)]


def _gemm(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """A*B without C, unless C changes too."""
    if set(deltas) == {2}:  # only the addend changes: the product's place is taken by zeros of the output's shape
        zeros = scope.zeros_like(node.output[0])
        scaled = f"{output}/scaled"
        beta = next((attr.f for attr in node.attribute if attr.name == "beta"), 1.0)
        factor = helper.make_node("Constant", [], [f"{output}/beta"], value_float=beta)
        return [
            factor,
            helper.make_node("Mul", [deltas[2], f"{output}/beta"], [scaled]),
            helper.make_node("Add", [scaled, zeros], [output]),
        ]
    inputs = [deltas[i] if i in deltas else scope.parameter(node.input[i]) for i in (0, 1)]
    return [_copy(node, inputs + ([deltas[2]] if 2 in deltas else []), [output])]


def _sum(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """Add and Sub: constants vanish; where they widened the shape, zeros do that instead."""
    negative = node.op_type == "Sub" and set(deltas) == {1}
    if len(deltas) == 2:
        return [_copy(node, [deltas[0], deltas[1]], [output])]
    position, delta = next(iter(deltas.items()))
    if not scope.same_shape(node.input[position], node.output[0]):
        inputs = [scope.zeros_like(node.input[i]) if i != position else delta for i in (0, 1)]
        return [_copy(node, inputs, [output])]
    return [helper.make_node("Neg", [delta], [output])] if negative else []


def _join(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """Concat, Sum and Mean: what does not change is replaced by zeros."""
    inputs = [deltas[i] if i in deltas else scope.zeros_like(name) for i, name in enumerate(node.input)]
    return [_copy(node, inputs, [output])]


def _where(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """The condition stays, an unchanging branch becomes zeros."""
    branches = [deltas[i] if i in deltas else scope.zeros_like(node.input[i]) for i in (1, 2)]
    return [_copy(node, [scope.parameter(node.input[0]), *branches], [output])]


def _batch_norm(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """Shift and mean become zeros; scale and variance stay."""
    scale, shift, mean, variance = node.input[1:5]
    inputs = [scope.parameter(scale), scope.zeros_like(shift), scope.zeros_like(mean), scope.parameter(variance)]
    return [_copy(node, [deltas[0], *inputs], [output])]


def _resize(node: onnx.NodeProto, deltas: Mapping[int, str], output: str, scope: Scope) -> list[onnx.NodeProto]:
    """What lies outside the cropped region stays as it is: its change is zero, the attribute's default."""
    (copy,) = _homogeneous(node, deltas, output, scope)
    kept = [attr for attr in copy.attribute if attr.name != "extrapolation_value"]
    del copy.attribute[:]
    copy.attribute.extend(kept)
    return [copy]


_RULES: dict[str, Callable[..., list[onnx.NodeProto]]] = {
    "Add": _sum,
    "Sub": _sum,
    "Gemm": _gemm,
    "Concat": _join,
    "Sum": _join,
    "Mean": _join,
    "Where": _where,
    "BatchNormalization": _batch_norm,
    "Resize": _resize,
}


def _copy(node: onnx.NodeProto, inputs: list[str], outputs: list[str]) -> onnx.NodeProto:
    copy = helper.make_node(node.op_type, inputs, outputs, name=f"{node.name}/step", domain=node.domain)
    copy.attribute.extend(node.attribute)
    return copy
