"""What single nodes do, against numbers counted another way."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from spikec.ledger import Work
from spikec.ledger.operations import usual_macs, work_of

SIZES = st.integers(1, 5)


def node(op, inputs=1, **attributes):
    return helper.make_node(op, [f"x{i}" for i in range(inputs)], ["y"], **attributes)


def shapes(*inputs, out):
    return {f"x{i}": shape for i, shape in enumerate(inputs)} | {"y": out}


@given(SIZES, SIZES, SIZES, SIZES)
def test_a_product_of_matrices_is_an_einsum(b, n, k, m):
    plain = usual_macs(node("MatMul", 2), shapes((b, n, k), (k, m), out=(b, n, m)))
    spelled = node("Einsum", 2, equation="...nk, km -> ...nm")
    assert plain == usual_macs(spelled, shapes((b, n, k), (k, m), out=(b, n, m))) == b * n * k * m
    both = node("Einsum", 2, equation="bnk,bkm->bnm")
    assert usual_macs(both, shapes((b, n, k), (b, k, m), out=(b, n, m))) == plain


@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans())
def test_a_gemm_turned_or_not(n, k, m, left, right):
    turned = node("Gemm", 2, transA=int(left), transB=int(right))
    given_shapes = shapes((k, n) if left else (n, k), (m, k) if right else (k, m), out=(n, m))
    assert usual_macs(turned, given_shapes) == n * k * m


@given(SIZES, SIZES, st.integers(1, 3))
def test_convolutions_there_and_back_do_the_same(inner, outer, kernel):
    small, large = (1, inner, 4, 4), (1, outer, 4 * kernel, 4 * kernel)
    weights = (inner, outer, kernel, kernel)
    there = usual_macs(node("Conv", 2), shapes(large, weights, out=small))
    assert there == usual_macs(node("ConvTranspose", 2), shapes(small, weights, out=large))
    assert there == prod(small) * outer * kernel**2


@pytest.mark.parametrize(
    ("made", "given_shapes", "expected"),
    [
        (node("Add", 2), shapes((2, 3), (3,), out=(2, 3)), Work(adds=6)),
        (node("Sum", 4), shapes(*[(2, 3)] * 4, out=(2, 3)), Work(adds=18)),
        (node("Mul", 2), shapes((2, 3), (), out=(2, 3)), Work(multiplies=6)),
        (node("Relu"), shapes((5,), out=(5,)), Work(adds=5)),
        (node("Erf"), shapes((5,), out=(5,)), Work(specials=5)),
        (node("NeverHeardOf"), shapes((5,), out=(5,)), Work(specials=5)),
        (node("Transpose"), shapes((2, 3), out=(3, 2)), Work()),
        (node("ReduceSum"), shapes((2, 3), out=(2, 1)), Work(adds=6)),
        (node("MaxPool", kernel_shape=[2, 2]), shapes((1, 1, 4, 4), out=(1, 1, 2, 2)), Work(adds=16)),
        (node("Softmax"), shapes((2, 3), out=(2, 3)), Work(adds=18, multiplies=6, specials=6)),
        (node("LayerNormalization", 3), shapes((2, 3), (3,), (3,), out=(2, 3)), Work(adds=24, multiplies=18)),
        (node("MatMul", 2), shapes((2, 3), (3, 4), out=(2, 4)), Work(macs=24, fetches=24)),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)
def test_work_of_one_node(made, given_shapes, expected):
    assert work_of(made, given_shapes) == expected


def test_einsums_of_one_letter_twice():
    spelled = node("Einsum", 2, equation="i,i->")
    assert usual_macs(spelled, shapes((7,), (7,), out=())) == 7 == len(np.zeros(7))
