"""Every operator of the evaluator at least once, against onnxruntime, or the reference where that has no kernel."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from spikec.runtime.torch_ops import OPERATORS

_RNG = np.random.default_rng(0)


class Case(NamedTuple):
    operator: str
    arrays: list[np.ndarray | None]
    options: dict[str, Any]


def case(operator: str, *arrays: np.ndarray | None, **options: object) -> Case:
    """`options` are the node's attributes, and outputs, opset and reference (see `agree`)."""
    return Case(operator, list(arrays), options)


def f(*shape: int) -> np.ndarray:
    return _RNG.standard_normal(shape).astype(np.float32)


def u(low: float, high: float) -> np.ndarray:
    return _RNG.uniform(low, high, (3, 4)).astype(np.float32)


def i(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def n(value: float) -> np.ndarray:
    return np.array(value, dtype=np.float32)


def b(*shape: int) -> np.ndarray:
    return _RNG.integers(0, 2, shape).astype(bool)


def positive(*shape: int) -> np.ndarray:
    return np.abs(f(*shape)) + np.float32(0.1)


SPECIAL = np.array([np.nan, np.inf, -np.inf, 1.0], dtype=np.float32)
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, -0.7], dtype=np.float32)
SIGNED = np.array([-7, 7, -8, 8, 5], dtype=np.int32)
DIVISORS = np.array([2, -2, 3, -3, 5], dtype=np.int32)

LINEAR = [
    case("Conv", f(1, 4, 6, 5), f(6, 2, 3, 2), f(6), group=2, pads=[0, 1, 2, 0], strides=[2, 1]),
    case("Conv", f(1, 2, 9), f(3, 2, 3), auto_pad="SAME_LOWER", strides=[2]),
    case("ConvTranspose", f(1, 2, 3, 4), f(2, 3, 3, 2), f(3), strides=[2, 3], output_padding=[1, 0], pads=[1, 0, 0, 1]),
    case("ConvTranspose", f(1, 2, 3, 4), f(2, 3, 3, 3), strides=[2, 2], output_shape=[7, 8], auto_pad="SAME_UPPER"),
    case("Gemm", f(4, 3), f(5, 4), f(5), transA=1, transB=1, alpha=0.5, beta=2.0),
    case("Gemm", f(3, 4), f(4, 5)),
    case("MatMul", f(2, 1, 3, 4), f(5, 4, 2)),
    case("Einsum", f(2, 3, 4), f(2, 4, 5), equation="bij,bjk->bik"),
]
POOLING = [
    case("AveragePool", f(1, 2, 7, 7), kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 2], count_include_pad=1),
    case("AveragePool", f(1, 2, 7, 6), kernel_shape=[3, 3], dilations=[2, 2], pads=[1, 1, 1, 1]),
    case("AveragePool", f(1, 1, 2, 4, 5), kernel_shape=[3, 1, 1], pads=[1, 0, 0, 1, 0, 0]),  # wider than its axis
    case("MaxPool", f(1, 2, 7, 7), kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 2], ceil_mode=1),
    case("MaxPool", _RNG.integers(-9, 9, (1, 2, 7)).astype(np.int8), kernel_shape=[3], pads=[1, 1]),
    case("LpPool", f(1, 2, 7, 7), kernel_shape=[3, 2], p=3, pads=[1, 0, 0, 1], strides=[2, 2]),
    case("GlobalAveragePool", f(2, 3, 4, 5)),
    case("GlobalMaxPool", f(2, 3, 4, 5)),
    case("GlobalLpPool", f(2, 3, 4, 5), p=3),
]
NORMALIZATION = [
    case("BatchNormalization", f(2, 3, 4), f(3), f(3), f(3), positive(3), epsilon=1e-3),
    case("LayerNormalization", f(2, 3, 4), f(3, 4), f(3, 4), axis=1),
    case("LayerNormalization", f(2, 3, 4), f(4), epsilon=0.1),
    case("LayerNormalization", f(2, 3, 4), f(4), f(1, 4), axis=1, reference=True),
    case("GroupNormalization", f(2, 6, 4), f(6), f(6), num_groups=3, opset=21),
    case("GroupNormalization", f(2, 6, 4), f(3), f(3), num_groups=3, opset=18),
    case("InstanceNormalization", f(2, 3, 4, 5), f(3), f(3)),
    case("InstanceNormalization", f(1, 3, 1), f(3), f(3)),
    case("RMSNormalization", f(2, 3, 4), f(3, 4), axis=1, epsilon=0.01, opset=23, reference=True),
    case("LpNormalization", f(2, 3, 4), axis=1, p=1),
    case("LpNormalization", f(2, 3, 4)),
    case("MeanVarianceNormalization", f(2, 3, 4, 5)),
    # The reference goes over as many channels as there are samples, and onnxruntime knows odd sizes alone.
    case("LRN", f(7, 7, 3, 3), size=4, alpha=0.5, beta=0.6, bias=1.5, reference=True),
    case("LRN", f(2, 7, 3, 3), size=5, alpha=0.5),
]
REDUCTION = [
    *[case(f"Reduce{name}", positive(2, 3, 4), i(0, -1)) for name in ("Sum", "Mean", "Prod", "Max", "Min")],
    *[case(f"Reduce{name}", positive(2, 3, 4), i(1), keepdims=0) for name in ("L1", "L2", "SumSquare")],
    *[case(f"Reduce{name}", positive(2, 3, 4)) for name in ("LogSum", "LogSumExp")],
    case("ReduceSum", f(2, 3), noop_with_empty_axes=1),
    case("ReduceMean", SIGNED, i(0), keepdims=0),
    case("ArgMax", i(3, 1, 3, 0).reshape(2, 2), axis=1, keepdims=0),
    case("ArgMax", np.tile(f(1, 4), (3, 1)), axis=0, select_last_index=1),
    case("ArgMin", f(3, 4), axis=-1),
    case("TopK", np.round(f(3, 6)), i(4), axis=1, outputs=2),
    case("TopK", f(5, 2), i(2), axis=0, largest=0, outputs=2),
    case("CumSum", f(3, 4), np.array(1), exclusive=1, reverse=1),
    case("CumSum", f(3, 4), np.array(-2)),
    case("Softmax", f(2, 3, 4), axis=1),
    case("LogSoftmax", f(2, 3, 4)),
    case("Hardmax", f(2, 3, 4), axis=1),
]
ACTIVATION = [
    *[case(name, f(3, 4) * 3) for name in ("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid")],
    *[case(name, f(3, 4) * 3) for name in ("HardSwish", "Mish", "Tanh", "Softplus", "Softsign", "Gelu")],
    *[case(name, f(3, 4) * 3, alpha=0.7) for name in ("LeakyRelu", "ThresholdedRelu", "Elu", "Celu", "HardSigmoid")],
    case("Selu", f(3, 4), alpha=1.2, gamma=0.9),
    case("PRelu", f(2, 3, 4), f(3, 1)),
    case("Swish", f(3, 4), alpha=0.7, opset=24, reference=True),
    case("Gelu", f(3, 4), approximate="tanh"),
    case("Shrink", f(3, 4), lambd=0.4, bias=0.3),
]
ELEMENTWISE = [
    *[case(name, f(3, 1), f(4)) for name in ("Add", "Sub", "Mul", "Div", "Greater", "Less")],
    *[case(name, np.round(f(9)), np.round(f(9))) for name in ("Equal", "GreaterOrEqual", "LessOrEqual")],
    *[case(name, f(3, 4), f(4), f(3, 1)) for name in ("Sum", "Mean", "Max", "Min")],
    *[case(name, f(3, 4)) for name in ("Neg", "Abs", "Exp", "Erf", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh")],
    *[case(name, f(3, 4)) for name in ("Asinh", "Reciprocal", "Floor", "Ceil", "Sign")],
    *[case(name, positive(3, 4)) for name in ("Sqrt", "Log")],
    *[case(name, u(-0.9, 0.9)) for name in ("Asin", "Acos", "Atanh")],
    *[case(name, b(3, 4), b(4)) for name in ("And", "Or", "Xor")],
    case("Acosh", u(1.1, 3.0)),
    case("Div", SIGNED, DIVISORS),
    case("Pow", positive(3, 4), f(4)),
    case("Pow", i(1, 2, 3), n(2.0)),
    case("Mod", SIGNED, DIVISORS),
    case("Mod", SIGNED, DIVISORS, fmod=1),
    case("Mod", f(9), f(9), fmod=1),
    case("Round", HALVES),
    case("Clip", f(3, 4), n(-0.5), n(0.5)),
    case("Clip", f(3, 4), None, n(0.2)),
    case("Clip", SIGNED, np.array(6, np.int32), np.array(2, np.int32)),
    case("Not", b(3, 4)),
    case("Where", b(3, 1), f(4), f(3, 4)),
    case("IsNaN", SPECIAL),
    case("IsInf", SPECIAL),
    case("IsInf", SPECIAL, detect_negative=0),
]
SHAPE = [
    case("Reshape", f(2, 3, 4), i(0, -1, 2)),
    case("Reshape", f(0, 3), i(3, 0), allowzero=1),
    case("Flatten", f(2, 3, 4), axis=-1),
    case("Transpose", f(2, 3, 4)),
    case("Transpose", f(2, 3, 4), perm=[1, 0, 2]),
    case("Squeeze", f(1, 3, 1)),
    case("Squeeze", f(1, 3, 1), i(-1)),
    case("Unsqueeze", f(3, 4), i(-1, 0)),
    case("Expand", f(3, 1), i(2, 1, 4)),
    case("Concat", f(2, 3), f(2, 1), axis=-1),
    case("Split", f(7, 2), outputs=3, num_outputs=3),
    case("Split", f(2, 7), i(3, 0, 4), axis=1, outputs=3),
    case("Tile", f(2, 3), i(2, 3)),
    case("DepthToSpace", f(1, 8, 2, 3), blocksize=2),
    case("DepthToSpace", f(1, 8, 2, 3), blocksize=2, mode="CRD"),
    case("SpaceToDepth", f(1, 2, 4, 6), blocksize=2),
    case("Col2Im", f(2, 12, 6), i(4, 6), i(2, 2), strides=[2, 2]),
    case("Col2Im", f(1, 18, 20), i(3, 4), i(3, 3), pads=[1, 0, 2, 3], dilations=[1, 1]),
    case("Shape", f(2, 3, 4), start=-2, end=7),
    case("Size", f(2, 3)),
    case("Slice", f(5, 6), i(-1, 1), i(-99, 2**62), i(0, 1), i(-2, 2)),
    case("Pad", f(3, 4), i(1, -1, 0, 2), n(7.0)),
    case("Pad", f(3, 4), i(2, 1), None, i(1), mode="reflect"),
]
SELECTION = [
    case("Gather", f(4, 5), i(-1, 0, 2, 2).reshape(2, 2), axis=1),
    case("Gather", f(4, 5), np.array(1)),
    case("GatherElements", f(3, 2), i(0, -1, 1, 2).reshape(2, 2)),
    case("GatherND", f(2, 3, 4), i(1, -1, 0, 2).reshape(2, 2)),
    case("GatherND", f(2, 3, 4), i(1, -1).reshape(2, 1), batch_dims=1),
    case("ScatterND", f(4, 3), i(1, -1).reshape(2, 1), f(2, 3)),
    case("ScatterND", f(4, 3), i(1, 1).reshape(2, 1), f(2, 3), reduction="add"),
    case("ScatterElements", f(3, 4), i(0, -1).reshape(1, 2), f(1, 2), axis=1),
    case("ScatterElements", f(3, 4), i(0, 0).reshape(1, 2), f(1, 2), axis=1, reduction="add"),
    case("OneHot", i(0, -1, 9, 2), i(3), np.array([0.5, 2.0], np.float32)),
    case("OneHot", i(0, 1, 2, 2).reshape(2, 2), np.array(4), np.array([0, 1]), axis=1),
    case("NonZero", np.round(f(3, 4))),
    case("Trilu", f(2, 3, 4), np.array(1)),
    case("Trilu", f(3, 4), upper=0),
    case("Resize", f(1, 2, 4, 5), None, np.array([1, 1, 1.5, 0.6], np.float32)),
    case("Resize", f(1, 2, 4, 5), None, None, i(6, 3), axes=[2, 3], mode="linear"),
]
CREATION = [
    case("Constant", value_floats=[1.0, 2.5]),
    case("Constant", value_ints=[1, 2]),
    case("ConstantOfShape", i(2, 3)),
    case("Range", np.array(9), np.array(-1), np.array(-3)),
    case("Range", n(0.5), n(2.4), n(0.5)),
    case("EyeLike", f(3, 4), k=1),
    case("EyeLike", i(1, 2).reshape(1, 2), dtype=1),
    case("Cast", f(3, 4) * 3, to=7),
    case("Cast", b(3, 4), to=1),
    case("CastLike", f(3, 4), np.array(1, np.int32)),
    case("Identity", b(3)),
    case("Dropout", f(3, 4), n(0.5), outputs=2),
]
CASES = [*LINEAR, *POOLING, *NORMALIZATION, *REDUCTION, *ACTIVATION, *ELEMENTWISE, *SHAPE, *SELECTION, *CREATION]
# Operators whose reference rounds to float32 on the way, asks for float32, or lacks or breaks on a case above.
NOT_EXACT = {
    *("Erf", "Gelu", "HardSwish", "GroupNormalization", "LpNormalization", "MeanVarianceNormalization"),
    *("Constant", "ConstantOfShape", "EyeLike", "Cast"),
    *("GlobalLpPool", "LRN", "MaxPool", "OneHot", "Pad"),
}
NAMES = [f"{position}-{one.operator}" for position, one in enumerate(CASES)]


@pytest.mark.parametrize("one", CASES, ids=NAMES)
def test_equals_another_implementation(agree: Callable[..., None], one: Case) -> None:
    agree(one.operator, one.arrays, **one.options)


@pytest.mark.parametrize("one", CASES, ids=NAMES)
def test_float64_is_the_same_function_and_not_rounded(by_torch: Callable[..., list[np.ndarray]], one: Case) -> None:
    options = _for_torch(one)
    narrow = by_torch(one.operator, one.arrays, **options)
    wide = by_torch(one.operator, one.arrays, precision=torch.float64, **options)
    for few, many in zip(narrow, wide, strict=True):
        assert many.dtype == (np.float64 if few.dtype == np.float32 else few.dtype)
        np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("one", [one for one in CASES if one.operator not in NOT_EXACT], ids=lambda one: one.operator)
def test_float64_equals_the_reference_to_the_last_digits(agree: Callable[..., None], one: Case) -> None:
    wide = [array.astype(np.float64) if _is_float32(array) else array for array in one.arrays]
    agree(one.operator, wide, precision=torch.float64, tolerance=1e-12, **{**one.options, "reference": True})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives(by_torch: Callable[..., list[np.ndarray]]) -> None:
    for one in CASES:
        here, there = (by_torch(one.operator, one.arrays, device=place, **_for_torch(one)) for place in ("cpu", "cuda"))
        for expected, given in zip(here, there, strict=True):
            assert given.dtype == expected.dtype, one.operator
            np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5, err_msg=one.operator)


def _for_torch(one: Case) -> dict[str, Any]:
    """The case's options without those that speak about the other implementation."""
    return {name: value for name, value in one.options.items() if name not in ("opset", "reference")}


def _is_float32(array: np.ndarray | None) -> bool:
    return array is not None and array.dtype == np.float32


def test_every_operator_has_a_case() -> None:
    assert {one.operator for one in CASES} == OPERATORS.keys()
