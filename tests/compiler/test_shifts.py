"""The shifts that the pipeline gives to the exponentials of an opened softmax."""

import numpy as np
import pytest

import spikec
from spikec.errors import ModelError
from spikec.onnx_session import run_model
from spikec.passes.open_softmax import Reach, Rows
from spikec.pipeline import build_levels
from spikec.runtime import Session
from spikec.shifts import MOST_APART, NOTHING, measured_reaches
from tests.models.graphs import initializer, normal, parse, same_outputs, scalar

STRICT = spikec.Options(granularity="strict")
HEAD = "g (float[N, 4] x) => (float[N, 4] y)"
OPEN = "g (float[N, M] x) => (float[N, 4] y)"  # the length of a row is not known
W = normal(4, 4)
X = normal(5, 4)


def primitive(model, feeds):
    """Level 2."""
    return build_levels(model, STRICT, feeds).models["primitive"]


def along(*axes, one_shift=True, masked=False):
    """Reach of a softmax of x along ``axes``, for given samples."""
    model = parse(f"{HEAD} {{ h = Neg(x) a = Neg(h) y = MatMul(a, w) }}", w=W)
    rows = Rows("a", "Softmax", axes or None, one_shift, masked)
    return lambda x: measured_reaches(model, {"soft": rows}, {"x": x})["soft"]


def test_each_softmax_of_unknown_length_is_shifted_by_the_maximum_of_its_input():
    text = f"""{OPEN} {{
      h = Mul(x, s) [soft] a = Softmax(h) b = MatMul(a, w) [log] c = LogSoftmax<axis = 0>(b) y = MatMul(c, w) }}"""
    model = parse(text, w=W, s=scalar(2))
    opened = primitive(model, {"x": X})
    assert initializer(opened, "soft/shift") == X.max() * 2
    rows = Rows("b", "LogSoftmax", (0,), one_shift=True, masked=False)
    expected = measured_reaches(model, {"log": rows}, {"x": X})["log"].shift
    np.testing.assert_allclose(initializer(opened, "log/shift"), expected, rtol=1e-5)


@pytest.mark.parametrize("head", [HEAD, OPEN])
def test_exp_stays_in_range(head):
    """Without a tree or a shift it would be infinite."""
    model = parse(f"{head} {{ h = Add(x, s) [soft] a = Softmax(h) y = MatMul(a, w) }}", w=W, s=scalar(500))
    opened = primitive(model, {"x": X})
    assert [node.op_type for node in opened.graph.node].count("ReduceSum") == (head == OPEN)


def test_the_shift_is_the_largest_finite_element():
    x = X.copy()
    x[0], x[1, 2] = -np.inf, -np.inf
    assert along(-1)(x).shift == x[1:].max()
    assert along(-1)(np.full_like(x, -np.inf)) == Reach(0.0, -NOTHING)


def test_the_floor_lies_far_under_the_row_that_reaches_least():
    """It is asked for where a mask may come, and where something lies there."""
    least = float(X.max(axis=-1).min())
    assert along(-1)(X).floor is None
    assert along(-1, masked=True)(X).floor == pytest.approx(least - NOTHING)
    x = X.copy()
    x[0, 1] = -1e4
    assert along(-1)(x).floor == pytest.approx(float(x.max(axis=-1).min()) - NOTHING)


@pytest.mark.parametrize("mask", [-np.inf, -1e9])
def test_a_mask_that_only_other_samples_have(mask):
    """The first samples are measured, and have none."""
    text = """g (float[N, 4] x, float[N, 4] mask) => (float[N, 4] y) {
      h = MatMul(x, w) m = Add(h, mask) a = Softmax(m) y = MatMul(a, w) }"""
    model = parse(text, w=W)
    masked = np.zeros_like(X)
    masked[1, 2:] = masked[2, 0] = mask
    opened = primitive(model, {"x": X, "mask": np.zeros_like(X)})
    same_outputs(model, opened, {"x": X, "mask": masked})


def test_nothing_is_run_where_nothing_is_asked():
    assert measured_reaches(parse(f"{HEAD} {{ y = Neg(x) }}"), {}, {}) == {}


def test_rows_too_far_apart_for_one_shift_are_refused():
    """The second row is exp(-200) of the first, which is 0 in float32: its softmax would be 0 / 0."""
    x = np.array([[0, 200, 1, 2], [0, 0, 1, -300]], np.float32)
    refusal = r"node 'soft' \(Softmax\): the maxima of its rows lie 199 apart.*composite"
    with pytest.raises(ModelError, match=refusal):
        along(-1)(x)
    with pytest.raises(ModelError, match=refusal):
        primitive(parse(f"{OPEN} {{ [soft] a = Softmax(x) y = MatMul(a, w) }}", w=W), {"x": x})
    assert along(-1, one_shift=False)(x).shift == 200
    primitive(parse(f"{HEAD} {{ [soft] a = Softmax(x) y = MatMul(a, w) }}", w=W), {"x": x})


def test_it_is_the_rows_that_count():
    x = np.array([[0, 200, 1, 2], [0, 0, 200, -300]], np.float32)
    assert along(-1)(x).shift == along(0, 1)(x).shift == along()(x).shift == 200
    with pytest.raises(ModelError):
        along(0)(x)  # the maxima of the columns are 0, 200, 200, 2


@pytest.mark.parametrize("head", [HEAD, OPEN])
def test_rows_just_near_enough_keep_the_outputs(head):
    x = X + np.linspace(0, MOST_APART - 5, 5, dtype=np.float32)[:, None]
    for op in ("Softmax(x)", "LogSoftmax(x)", "ReduceLogSumExp(x, axes)"):
        model = parse(f"{head} {{ [soft] a = {op} b = Sub(x, a) y = MatMul(b, w) }}", w=W, axes=np.array([-1]))
        primitive(model, {"x": x})  # checks every pass


def test_rows_that_lie_apart_are_followed_over_time():
    """Next to exp of the highest row that of the lowest, 25 below, is nothing; their logarithms are near."""
    x = normal(64, 4) + np.linspace(0, 25, 64, dtype=np.float32)[:, None]

    def worst_row(head):
        model = parse(f"{head} {{ a = Softmax(x) y = MatMul(a, w) }}", w=np.eye(4, dtype=np.float32))
        artifact = spikec.compile(model, calibration={"x": x}, granularity="strict", steps=32)
        return float(np.abs(Session(artifact.model).run(x).final["y"] - run_model(model, {"x": x})["y"]).max())

    assert worst_row(HEAD) < 0.05
    assert worst_row(OPEN) > 0.5
