"""What one ONNX node does to one sample, from the shapes of its tensors."""
# ruff: noqa: SIM905 - a table of names reads best as words

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from onnx import NodeProto, helper

from spikec.ledger.work import NOTHING, Work

Shapes = Mapping[str, tuple[int, ...]]

# wires, choices and signs: no arithmetic
_FREE = frozenset(
    "And Cast Constant ConstantOfShape Concat DepthToSpace Expand Flatten Gather GatherElements GatherND Identity "
    "Neg Abs Not Or Pad Range Reshape Shape Sign Size Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze "
    "Where Xor".split()
)
_ADD = frozenset("Ceil Equal Floor Greater GreaterOrEqual Less LessOrEqual Relu Round".split())  # one an element
_MANY = frozenset("Add Max Mean Min Sub Sum".split())  # one less than there are inputs
# additions for each element of the input
_REDUCE = frozenset(
    "ArgMax ArgMin CumSum GlobalAveragePool GlobalMaxPool ReduceL1 ReduceMax ReduceMean ReduceMin ReduceSum "
    "TopK".split()
)
_WINDOW = frozenset("AveragePool MaxPool".split())
WEIGHTED = frozenset("Conv ConvTranspose Einsum Gemm MatMul".split())

# for each element of the input: softmax finds the largest, subtracts, exp, sums, multiplies by 1 / sum; a norm sums,
# subtracts, squares, sums, multiplies by 1 / deviation and by the scale, adds the shift
_SOFTMAX = Work(adds=3, multiplies=1, specials=1)
_NORM = Work(adds=4, multiplies=3)
_ROW = {
    "Softmax": _SOFTMAX,
    "LogSoftmax": _SOFTMAX,
    **dict.fromkeys("LayerNormalization GroupNormalization InstanceNormalization".split(), _NORM),
    "MeanVarianceNormalization": Work(adds=3, multiplies=2),
    "RMSNormalization": Work(adds=1, multiplies=3),
    "LpNormalization": Work(adds=1, multiplies=2),
    "ReduceL2": Work(adds=1, multiplies=1),
    "ReduceSumSquare": Work(adds=1, multiplies=1),
    "ReduceProd": Work(multiplies=1),
    "ReduceLogSum": Work(adds=1),
    "ReduceLogSumExp": Work(adds=2, specials=1),
}
# for each element of the output
_CELL = {
    "Mul": Work(multiplies=1),
    "Clip": Work(adds=2),
    "BatchNormalization": Work(adds=1, multiplies=1),
    **dict.fromkeys("LeakyRelu PRelu ThresholdedRelu".split(), Work(adds=1, multiplies=1)),
    "HardSigmoid": Work(adds=3, multiplies=1),
}


def work_of(node: NodeProto, shapes: Shapes) -> Work:
    """What ``node`` does to tensors of these ``shapes`` (all samples that they hold together).

    Operators without a rule of their own count as one special function for each element of the output.
    """
    op, out, first = node.op_type, prod(shapes[node.output[0]]), prod(shapes.get(next(iter(node.input), ""), ()))
    if op in _FREE:
        return NOTHING
    if op in WEIGHTED:
        count = float(usual_macs(node, shapes))
        return Work(macs=count, fetches=count)
    if op in _ROW:
        return _ROW[op] * first
    if op in _REDUCE:
        return Work(adds=first)
    if op in _WINDOW:
        return Work(adds=out * prod(_attributes(node)["kernel_shape"]))
    if op in _ADD or op in _MANY:
        return Work(adds=out * (max(1, len(node.input) - 1) if op in _MANY else 1))
    return _CELL.get(op, Work(specials=1)) * out


def usual_macs(node: NodeProto, shapes: Shapes) -> int:
    """Multiply-accumulates of an operator with weights as they are usually quoted: products with padding included."""
    return _MACS[node.op_type](node, shapes)


def _conv(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])


def _transposed(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _matmul(node: NodeProto, shapes: Shapes) -> int:
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    turned = _attributes(node).get("transA", 0)
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if turned else 1]


def _einsum(node: NodeProto, shapes: Shapes) -> int:
    """One product for each value of all its letters; an ellipsis stands for the axes that are left."""
    terms = _attributes(node)["equation"].decode().replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        shape = shapes[name]
        before, dots, behind = term.partition("...")
        axes = len(shape) - len(before) - len(behind)
        letters = [*before, *(f".{axes - i}" for i in range(axes) if dots), *behind]
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values())


_MACS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
}


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}
