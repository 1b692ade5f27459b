import numpy as np
import onnx
import pytest

from spikec.equivalence import TOLERANCE, EquivalenceCheck, relative_distance
from spikec.errors import InternalError, ModelError
from tests.models.graphs import normal, parse, scalar

X = {"x": normal(5, 4)}


def model_of(nodes, outputs="float[N, 4] y", **constants):
    return parse(f"g (float[N, 4] x) => ({outputs}) {{ {nodes} }}", **constants)


@pytest.mark.parametrize(
    ("value", "reference", "distance"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([3.0, 4.0], [0.0, 0.0], 5.0),
        ([3.0, 0.0], [3.0, 4.0], 0.8),
        ([], [], 0.0),
        ([1e30], [2e30], 0.5),
    ],
)
def test_relative_distance(value, reference, distance):
    assert relative_distance(np.array(value, np.float32), np.array(reference, np.float32)) == pytest.approx(distance)


def test_the_same_network_has_no_distance():
    model = model_of("y = Relu(x)")
    assert EquivalenceCheck(model, X)(model, "nothing") == 0.0


def test_the_distance_is_the_worst_of_all_outputs():
    outputs = "float[N, 4] y, float[N, 4] z"
    check = EquivalenceCheck(model_of("y = Relu(x) z = Neg(x)", outputs), X, tolerance=1.0)
    changed = model_of("y = Relu(x) n = Neg(x) z = Mul(n, k)", outputs, k=scalar(1.25))
    assert check(changed, "a pass") == pytest.approx(0.25)


def test_a_rewrite_that_changes_the_outputs_is_named():
    check = EquivalenceCheck(model_of("y = Relu(x)"), X)
    with pytest.raises(InternalError, match="pass Bad changed the network's outputs") as refused:
        check(model_of("y = Abs(x)"), "pass Bad")
    assert f"allowed {TOLERANCE:.0e}" in str(refused.value)


@pytest.mark.parametrize("wrong", ["y = Log(x)", "n = Neg(x) m = Relu(n) y = Reciprocal(m)"])
def test_numbers_that_are_not_finite_are_no_match(wrong):
    with pytest.raises(InternalError, match="relative distance inf"):
        EquivalenceCheck(model_of("y = Relu(x)"), X)(model_of(wrong), "pass Bad")


def test_a_second_output_that_is_not_a_number_does_not_pass():
    outputs = "float[N, 4] y, float[N, 4] z"
    check = EquivalenceCheck(model_of("y = Relu(x) z = Neg(x)", outputs), X)
    with pytest.raises(InternalError, match="relative distance inf"):
        check(model_of("y = Relu(x) z = Log(x)", outputs), "pass Bad")


def test_another_shape_is_no_match():
    source = model_of("y = Relu(x)")
    other = model_of("r = Relu(x) y = Unsqueeze(r, axes)", "float[N, 4, 1] y", axes=np.array([2]))
    with pytest.raises(InternalError, match="relative distance inf"):
        EquivalenceCheck(source, X)(other, "pass Bad")


def test_a_source_whose_output_is_not_finite_is_the_users_problem():
    with pytest.raises(ModelError, match="output 'y' is not finite on the given inputs"):
        EquivalenceCheck(model_of("y = Log(x)"), X)


def selection(scale):
    return model_of("a = Mul(x, k) y = ArgMax<axis = 1, keepdims = 0>(a)", "int64[N] y", k=np.array(scale, np.float32))


def test_integers_are_compared_by_the_share_that_differs():
    check = EquivalenceCheck(selection([1, 1, 1, 1]), X, tolerance=1.0)
    assert check(selection([2, 2, 2, 2]), "scaling") == 0.0
    assert check(selection([-1, -1, -1, -1]), "turning") == pytest.approx(0.01)


def test_an_empty_output_is_equal_to_an_empty_output():
    model = model_of("y = Slice(x, none, none)", "float[A, 4] y", none=np.array([0]))
    assert EquivalenceCheck(model, X)(model, "nothing") == 0.0
    onnx.checker.check_model(model)
