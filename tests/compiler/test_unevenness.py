"""Which norms the pipeline opens into trees of logarithms."""

import numpy as np
import pytest

import spikec
from spikec.onnx_session import run_model
from spikec.passes.norm_rows import NormRows
from spikec.pipeline import build_levels
from spikec.runtime import Session
from spikec.unevenness import uneven_norms
from tests.models.graphs import normal, parse

STRICT = spikec.Options(granularity="strict")
X = normal(3, 6, 8)
SMALL = X * np.array([1e-3, 1, 1, 1, 1, 1], np.float32)[:, None]  # one row in six


def is_uneven(x, rows=None):
    model = parse(
        "g (float[N, 6, 8] x) => (float[N, 6, 8] y) { h = Neg(x) a = Neg(h) y = MatMul(a, w) }", w=normal(8, 8)
    )
    return bool(uneven_norms(model, {"norm": rows or NormRows("a", (-1,), 1e-9)}, {"x": x}))


def test_one_small_row_makes_a_norm_uneven():
    assert not is_uneven(X)
    assert is_uneven(SMALL)


def test_epsilon_counts():
    assert not is_uneven(SMALL, NormRows("a", (-1,), epsilon=1.0))


def test_only_what_is_left_of_the_mean_counts():
    """A row of large equal elements is a small one, unless nothing is taken off."""
    x = X.copy()
    x[:, 0] = 100 + 1e-3 * X[:, 0]
    assert is_uneven(x)
    assert is_uneven(x, NormRows("a", (-1,), 1e-9, centred=False))
    x[:, 1:] += 100
    assert not is_uneven(x, NormRows("a", (-1,), 1e-9, centred=False))


def test_groups_of_channels_are_the_rows():
    """With two groups the small row lies among five others."""
    assert is_uneven(SMALL, NormRows("a", (2,), 1e-9, groups=6))
    assert not is_uneven(SMALL, NormRows("a", (2,), 1e-9, groups=2))


def test_nothing_is_run_where_nothing_is_asked():
    assert uneven_norms(parse("g (float[N, 4] x) => (float[N, 4] y) { y = Neg(x) }"), {}, {}) == frozenset()


@pytest.mark.parametrize(("x", "logarithms"), [(X, 0), (SMALL, 1)])
def test_the_pipeline_opens_uneven_norms_into_trees(x, logarithms):
    text = """g (float[N, 6, 8] x) => (float[N, 6, 8] y) {
      h = MatMul(x, w) n = LayerNormalization<epsilon = 1e-9>(h, s) y = MatMul(n, w) }"""
    levels = build_levels(parse(text, w=normal(8, 8), s=normal(8)), STRICT, {"x": x})  # checks every pass
    operators = [op for f in levels.models["primitive"].functions for op in [node.op_type for node in f.node]]
    assert operators.count("Log") == logarithms
    assert max(levels.distances.values()) < 1e-4


TRIAL = parse(
    """g (float[N, 6, 16] x) => (float[N, 6, 16] y) {
    n = LayerNormalization(x, s) y = MatMul(n, w) }""",
    w=np.eye(16, dtype=np.float32),
    s=np.ones(16, np.float32),
)


def test_small_rows_are_seen_over_time(monkeypatch):
    """Rows 30 times apart in size, 900 in their squares: from the sum of squares the smallest get a wrong norm."""
    x = normal(32, 6, 16) * np.geomspace(1, 30, 6, dtype=np.float32)[:, None]
    expected = run_model(TRIAL, {"x": x})["y"]

    def worst_row():
        artifact = spikec.compile(TRIAL, calibration={"x": x}, granularity="strict", steps=32)
        errors = np.linalg.norm(Session(artifact.model).run(x).final["y"] - expected, axis=-1)
        return float((errors / np.linalg.norm(expected, axis=-1)).max())

    tree = worst_row()
    monkeypatch.setattr("spikec.unevenness.EVEN", np.inf)
    assert tree < 0.1
    assert worst_row() > 1
