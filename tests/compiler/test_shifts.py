"""The shifts that the pipeline gives to the exponentials of an opened softmax."""

import numpy as np
import pytest

import spikec
from spikec.errors import ModelError
from spikec.passes.open_softmax import Rows
from spikec.pipeline import build_levels
from spikec.shifts import MOST_APART, measured_shifts
from tests.models.graphs import initializer, normal, parse

STRICT = spikec.Options(granularity="strict")
HEAD = "g (float[N, 4] x) => (float[N, 4] y)"
W = normal(4, 4)
X = normal(5, 4)


def primitive(model, feeds):
    """Level 2."""
    return build_levels(model, STRICT, feeds).models["primitive"]


def along(*axes):
    """Shift of a softmax of x along ``axes``, for given samples."""
    model = parse(f"{HEAD} {{ h = Neg(x) a = Neg(h) y = MatMul(a, w) }}", w=W)
    return lambda x: measured_shifts(model, {"soft": Rows("a", "Softmax", axes or None)}, {"x": x})["soft"]


def test_each_softmax_is_shifted_by_the_maximum_of_its_input():
    text = f"{HEAD} {{ h = Mul(x, s) [soft] a = Softmax(h) b = MatMul(a, w) [log] c = LogSoftmax(b) y = MatMul(c, w) }}"
    model = parse(text, w=W, s=np.full(4, 2, np.float32))
    opened = primitive(model, {"x": X})
    assert initializer(opened, "soft/shift") == X.max() * 2
    expected = measured_shifts(model, {"log": Rows("b", "LogSoftmax", (-1,))}, {"x": X})["log"]
    np.testing.assert_allclose(initializer(opened, "log/shift"), expected, rtol=1e-5)


def test_without_the_shift_exp_would_be_infinite():
    model = parse(
        f"{HEAD} {{ h = Add(x, s) [soft] a = Softmax(h) y = MatMul(a, w) }}", w=W, s=np.full(4, 500, np.float32)
    )
    assert initializer(primitive(model, {"x": X}), "soft/shift") > 500


def test_an_input_of_the_network_may_be_what_is_measured():
    model = parse(f"{HEAD} {{ [soft] a = Softmax(x) y = MatMul(a, w) }}", w=W)
    assert initializer(primitive(model, {"x": X}), "soft/shift") == X.max()


def test_the_shift_is_the_largest_finite_element():
    x = X.copy()
    x[0], x[1, 2] = -np.inf, -np.inf
    assert along(-1)(x) == x[1:].max()
    assert along(-1)(np.full_like(x, -np.inf)) == 0.0


def test_nothing_is_run_where_nothing_is_asked():
    assert measured_shifts(parse(f"{HEAD} {{ y = Neg(x) }}"), {}, {}) == {}


def test_rows_too_far_apart_are_refused():
    """The second row is exp(-200) of the first, which is 0 in float32: its softmax would be 0 / 0."""
    x = np.array([[0, 200, 1, 2], [0, 0, 1, -300]], np.float32)
    with pytest.raises(ModelError, match=r"node 'soft' \(Softmax\): the maxima of its rows lie 199 apart.*composite"):
        along(-1)(x)
    model = parse(f"{HEAD} {{ [soft] a = Softmax(x) y = MatMul(a, w) }}", w=W)
    with pytest.raises(ModelError, match="node 'soft'"):
        primitive(model, {"x": x})


def test_it_is_the_rows_that_count():
    x = np.array([[0, 200, 1, 2], [0, 0, 200, -300]], np.float32)
    assert along(-1)(x) == along(0, 1)(x) == along()(x) == 200
    with pytest.raises(ModelError):
        along(0)(x)  # the maxima of the columns are 0, 200, 200, 2


def test_rows_just_near_enough_keep_the_outputs():
    x = X + np.linspace(0, MOST_APART - 5, 5, dtype=np.float32)[:, None]
    for op in ("Softmax(x)", "LogSoftmax(x)", "ReduceLogSumExp(x, axes)"):
        model = parse(f"{HEAD} {{ [soft] a = {op} b = Sub(x, a) y = MatMul(b, w) }}", w=W, axes=np.array([-1]))
        primitive(model, {"x": x})  # checks every pass
