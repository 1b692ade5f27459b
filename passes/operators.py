"""What each ONNX operator is to a spiking network: the table that all passes consult.

Positions count the inputs of a node. A *value* input depends on the values of the graph's input; a *parameter* does
not.
"""
# ruff: noqa: SIM905 - a table of names reads best as words

from collections.abc import Collection

import onnx
import onnx_graphsurgeon as gs

# Domains of the functions that the compiler writes.
FUNCTION_DOMAIN = "spikec.f"  # a nonlinearity f as a function of its inputs
NEURON_DOMAIN = "spikec"  # a neuron: f with amplitude and initial value (level 3), or with its dynamics (level 4)
ROW_PREFIX = "Row_"  # begins the name of a function whose output elements each need a whole row of its input

# Affine in input 0 while all other inputs are parameters.
_FIRST: frozenset[str] = frozenset(
    "Conv ConvTranspose AveragePool GlobalAveragePool ReduceMean ReduceSum Neg Split Slice Pad Reshape Flatten "
    "Transpose Squeeze Unsqueeze Expand Tile Gather GatherElements GatherND Resize DepthToSpace SpaceToDepth Col2Im "
    "Identity Cast Trilu CumSum Div BatchNormalization".split()
)
# Affine in all value inputs together.
_JOINT: frozenset[str] = frozenset("Add Sub Sum Mean Concat".split())
# Affine in one input (any) while the others are parameters.
_ONE: frozenset[str] = frozenset("Mul MatMul Einsum".split())

# Nonlinear, one output element from one element of each value input.
_NONLINEAR_ELEMENTWISE: frozenset[str] = frozenset(
    "Relu LeakyRelu PRelu ThresholdedRelu Clip Abs Exp Log Sqrt Reciprocal Pow Gelu Sigmoid HardSigmoid HardSwish Tanh "
    "Softplus Softsign Mish Swish Elu Selu Celu Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Sign Floor "
    "Ceil Round Shrink Max Min Mul Div Mod".split()
)
# Affine and elementwise: may stand inside a fused chain.
_LINEAR_ELEMENTWISE: frozenset[str] = frozenset("Add Sub Mul Div Neg Sum".split())
# Elementwise, of booleans or integers on one side: inside a fused chain, where they make no tensor that carries spikes.
_DISCRETE_ELEMENTWISE: frozenset[str] = frozenset(
    "Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor Not IsNaN IsInf Where Cast".split()
)
# what a Cast in a chain may turn floats into: narrow integers wrap or saturate, as the processor likes
_PORTABLE_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL, onnx.TensorProto.INT32, onnx.TensorProto.INT64)

# One neuron holds a row, a window or a product (granularity "composite").
_COMPOSITE: dict[str, str] = {
    **dict.fromkeys("MaxPool GlobalMaxPool LpPool GlobalLpPool".split(), "window"),
    **dict.fromkeys(
        "LayerNormalization GroupNormalization InstanceNormalization RMSNormalization LpNormalization "
        "MeanVarianceNormalization LRN Softmax LogSoftmax ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceLogSum "
        "ReduceLogSumExp ReduceSumSquare ReduceProd".split(),
        "row",
    ),
    **dict.fromkeys("MatMul Einsum Gemm Conv".split(), "product"),
}
# Take a row of one tensor together: the reduced axes have one element, or are gone.
_REDUCTIONS: frozenset[str] = frozenset(
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp "
    "ReduceProd GlobalAveragePool GlobalMaxPool GlobalLpPool".split()
)
# Selections: meaningful on the finished output only.
READOUT_ONLY: frozenset[str] = frozenset("ArgMax ArgMin TopK NonZero Hardmax NonMaxSuppression OneHot".split())
CONTROL_FLOW: frozenset[str] = frozenset("If Loop Scan SequenceMap".split())
WEIGHTED: frozenset[str] = frozenset("Conv ConvTranspose Gemm MatMul Einsum".split())


def is_affine(op: str, values: Collection[int]) -> bool:
    """Whether operator ``op`` is affine in the inputs at the positions ``values``, all others being parameters."""
    positions = set(values)
    if op == "Gemm":
        return positions <= {0, 2} or positions <= {1, 2}
    if op == "Where":
        return 0 not in positions
    if op in _JOINT:
        return True
    if op in _ONE:
        return len(positions) == 1
    return op in _FIRST and positions == {0}


def settings_are_affine(node: gs.Node) -> bool:
    """Whether the attributes of ``node`` leave its operator affine.

    Casts round, but for those to the type that all sums have (UnifyPrecision); a norm in training adapts to the batch.
    """
    if node.op == "Cast":
        return bool(node.attrs["to"] == onnx.TensorProto.FLOAT)
    return not (node.op == "BatchNormalization" and node.attrs.get("training_mode", 0))


def settings_are_portable(node: gs.Node) -> bool:
    """Whether the attributes of ``node`` leave its operator the same on every processor."""
    return bool(node.op != "Cast" or node.attrs["to"] in _PORTABLE_TYPES)


def is_elementwise(op: str, domain: str | None) -> bool:
    """Whether one output element needs one element of each value input (fused chains included)."""
    if domain == FUNCTION_DOMAIN:
        return not is_row_function(op, domain)
    return domain in (None, "", "ai.onnx") and (
        op in _NONLINEAR_ELEMENTWISE or op in _LINEAR_ELEMENTWISE or op in _DISCRETE_ELEMENTWISE
    )


def is_inside_only(op: str, domain: str | None) -> bool:
    """Whether the operator may stand in a fused chain, but is no neuron by itself: it compares, chooses or casts."""
    return domain in (None, "", "ai.onnx") and op in _DISCRETE_ELEMENTWISE


def is_reduction(op: str, domain: str | None) -> bool:
    """Whether one output element needs a whole row of the first input, and of nothing else."""
    return domain in (None, "", "ai.onnx") and op in _REDUCTIONS


def is_row_function(op: str, domain: str | None) -> bool:
    """Whether this is the function of a row region (FuseRows); its name tells."""
    return domain == FUNCTION_DOMAIN and op.startswith(ROW_PREFIX)


def neuron_kind(node: gs.Node, values: Collection[int]) -> str | None:
    """The kind of neuron that can hold this nonlinearity, or None: unary, binary, many, row, window, product."""
    if is_inside_only(node.op, node.domain):
        return None
    if is_elementwise(node.op, node.domain):
        return {1: "unary", 2: "binary"}.get(len(set(values)), "many")
    if is_row_function(node.op, node.domain):
        return "row"
    if node.domain not in (None, "", "ai.onnx"):
        return None
    kind = _COMPOSITE.get(node.op)
    if kind == "product" and len(set(values)) < 2:
        return None
    return kind


def affine_operators() -> list[str]:
    """Names of every operator that stays in the graph as part of an affine segment."""
    return sorted(_FIRST | _JOINT | _ONE | {"Gemm", "Where"})


def neuron_operators() -> list[str]:
    """Names of every operator that can become a neuron."""
    return sorted(_NONLINEAR_ELEMENTWISE | set(_COMPOSITE))
