"""The bound worked out by hand, what is read from neurons' functions, and graphs that allow no bound."""

import copy

import numpy as np
import pytest
from onnx import helper
from onnx.numpy_helper import from_array

from spikec.runtime import InputError
from spikec.runtime.certificate import Certificate, Layout
from spikec.runtime.event_sizes import EventSizes
from spikec.runtime.linear_path import LinearPath, find_linear_path
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS, compiled
from tests.models.graphs import initializer, normal
from tests.models.networks import network
from tests.runtime.engines import parts_of


def of_mlp():
    parts = parts_of("mlp")
    path = find_linear_path(parts, "y")
    return path, Certificate(path, TorchBackend(parts, "cpu", "float32"), {"h/event": Layout((1, 5), 0)}, {}, 1, STEPS)


def bound_of_mlp(first, t):
    """From the file: amplitudes, the step sizes that are left, differences of the weights behind the neuron."""
    model, weights = compiled("mlp").model, initializer(network("mlp").model, "v").astype(np.float64)
    (row,) = compiled("mlp").manifest["neurons"]
    amplitude = np.broadcast_to(initializer(model, "h/amplitude").astype(np.float64), (1, 5))[0]
    return sum(row["eta"][t:]) * (np.abs(weights[:, [first]] - weights).T @ amplitude)


@pytest.mark.parametrize("t", range(1, STEPS + 1))
@pytest.mark.parametrize("first", range(4))
def test_the_bound_of_one_layer_worked_out_by_hand(first, t):
    _, certificate = of_mlp()
    bound = bound_of_mlp(first, t)
    for other in (k for k in range(4) if k != first):
        scores = np.full((2, 4), -1000.0)
        scores[:, first] = 0
        scores[:, other] = [-1.001 * bound[other] - 1e-3, -0.999 * bound[other]]
        assert certificate.decided(scores, t).tolist() == [True, False]


def test_ties_and_numbers_that_are_none_are_never_certain():
    _, certificate = of_mlp()
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [np.nan, 900, 0, 0], [900, 0, 0, 0]])
    assert certificate.decided(scores, STEPS).tolist() == [False, False, True]


def test_no_events_within_the_sizes_overturn_what_is_certain():
    """Events drawn at random, and the worst ones against each other class."""
    path, certificate = of_mlp()
    weights = initializer(network("mlp").model, "v").astype(np.float64)
    (source,) = path.sources
    random = np.random.default_rng(0)
    scores = random.normal(size=(4000, 4)) * 3
    for t in range(1, STEPS):
        certain = scores[certificate.decided(scores, t)]
        assert len(certain)
        most = source.eta[t:].sum() * np.broadcast_to(source.amplitude, (1, 5))[0]
        first = certain.argmax(axis=1)
        for worst in [most * np.sign(weights[:, j] - weights[:, k]) for j in range(4) for k in range(4)]:
            after = certain + worst @ weights
            np.testing.assert_array_equal(after.argmax(axis=1), first)


def test_sizes_are_read_from_the_functions():
    parts, manifest = parts_of("residual"), compiled("residual").manifest
    for row in manifest["neurons"]:
        sizes = EventSizes(parts).of(row["event"])
        np.testing.assert_allclose(sizes.eta, row["eta"], rtol=1e-6)
        amplitude = initializer(compiled("residual").model, f"{row['name']}/amplitude")
        np.testing.assert_array_equal(sizes.amplitude, amplitude)


def test_a_skip_brings_the_events_of_two_neurons_to_the_scores():
    path = find_linear_path(parts_of("residual"), "y")
    assert [source.event for source in path.sources] == ["e/event", "i/event"]


def test_probing_finds_the_matrix_of_each_source():
    """y = (e q + i q) v: both neurons have the same."""
    parts = parts_of("residual")
    path = find_linear_path(parts, "y")
    layouts = {source.event: Layout((1, 5), 0) for source in path.sources}
    made = Certificate(path, TorchBackend(parts, "cpu", "float32"), layouts, {}, 1, STEPS)
    q, v = (initializer(network("residual").model, name) for name in "qv")
    for found in made._weights:
        np.testing.assert_allclose(found, (q @ v).T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3, 2), (3, 1, 2), (3, 2, 1)])
def test_events_are_laid_out_along_the_axis_of_the_samples(shape):
    axis, events = shape.index(1), normal(4, 6)
    batch = Layout(shape, axis).of_samples(events)
    for sample in range(4):
        np.testing.assert_array_equal(np.take(batch, sample, axis).ravel(), events[sample])


def test_several_rows_of_one_sample_stand_together():
    batch = Layout((2, 3), 0).of_samples(normal(4, 6))
    np.testing.assert_array_equal(batch, normal(4, 6).reshape(8, 3))


def altered(change):
    parts = copy.deepcopy(parts_of("mlp"))
    change(parts)
    return parts


def node_of(parts, op):
    return next(node for node in parts.step if node.op_type == op)


def squared(parts):
    gemm = node_of(parts, "Gemm")
    event, gemm.input[0] = gemm.input[0], "squared"
    parts.step.insert(list(parts.step).index(gemm), helper.make_node("Mul", [event, event], ["squared"], name="sq"))


def unknown(parts):
    gemm = node_of(parts, "Gemm")
    event, gemm.input[0] = gemm.input[0], "rounded"
    parts.step.insert(list(parts.step).index(gemm), helper.make_node("Round", [event], ["rounded"], name="rd"))


def reads_the_state(parts):
    node_of(parts, "Gemm").input[0] = "h/value_next"


def graded(parts):
    """The event is the error, whose size nobody knows."""
    function = next(f for f in parts.functions if f.domain == "spikec")
    next(node for node in function.node if "d" in node.output).output[0] = "unused"
    function.node.append(helper.make_node("Mul", ["eta", "e"], ["d"]))


def doubled(parts):
    add = next(node for node in parts.step if node.op_type == "Add")
    add.op_type = "Sub"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (squared, r"node 'sq' \(Mul\) behind the last neurons is not known to be linear"),
        (unknown, r"node 'rd' \(Round\) behind the last neurons is not known to be linear"),
        (reads_the_state, r"reads 'h/value_next', which changes with time"),
        (graded, "neuron 'h' .* sends events that have no bound"),
        (doubled, r"\(Sub\) does more than add up what arrives"),
    ],
)
def test_graphs_without_a_bound_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        find_linear_path(altered(change), "y")


READOUTS = [
    ("Softmax", {"axis": -1}, True),
    ("Softmax", {"axis": 0}, False),
    ("LogSoftmax", {}, True),
    ("ArgMax", {"axis": 1}, True),
    ("ArgMax", {}, False),
    ("Sigmoid", {}, False),
    ("Neg", {}, False),
]


@pytest.mark.parametrize(("op", "attributes", "fine"), READOUTS)
def test_readouts_that_keep_the_order_of_the_classes(op, attributes, fine):
    def end(parts):
        last = parts.readout[-1]
        last.CopyFrom(helper.make_node(op, [last.input[0]], list(last.output), name="end", **attributes))

    if fine:
        assert find_linear_path(altered(end), "y").scores == "y/y/estimate_next"
    else:
        with pytest.raises(InputError, match=f"node 'end' \\({op}\\) .* keep the order of the classes"):
            find_linear_path(altered(end), "y")


SCALE, OFFSET = np.array([1.5, 0.5, 1.0, 2.0]), np.array([0.25, 0.0, -3.0, 1.0])


def scaled(parts):
    """y' = scale*y + offset before what is there already."""
    last = parts.readout[-1]
    parts.readout[:-1] = [
        helper.make_node("Mul", ["s", last.input[0]], ["sy"], name="mul"),  # either order is a product
        helper.make_node("Add", ["sy", "o"], ["syo"], name="add"),
    ]
    last.input[0] = "syo"
    parts.constants += [from_array(v.astype(np.float32), n) for n, v in (("s", SCALE), ("o", OFFSET))]


def of_scaled():
    parts = altered(scaled)
    path = find_linear_path(parts, "y")
    layouts = {"h/event": Layout((1, 5), 0)}
    return path, Certificate(path, TorchBackend(parts, "cpu", "float32"), layouts, {}, 1, STEPS)


def bound_of_scaled(first, t):
    """Each class's weights are as large as its scale makes them."""
    weights = initializer(network("mlp").model, "v").astype(np.float64) * SCALE
    (source,) = find_linear_path(parts_of("mlp"), "y").sources
    amplitude = np.broadcast_to(source.amplitude, (1, 5))[0]
    return source.eta[t:STEPS].sum() * (np.abs(weights[:, [first]] - weights).T @ amplitude)


def test_a_readout_that_scales_and_shifts_classes_is_read():
    path, _ = of_scaled()
    assert path.scores == "y/y/estimate_next"
    np.testing.assert_allclose(path.scale, SCALE)
    np.testing.assert_allclose(path.offset, OFFSET)


@pytest.mark.parametrize("t", range(1, STEPS))
@pytest.mark.parametrize("first", range(4))
def test_the_bound_of_scaled_classes_worked_out_by_hand(first, t):
    _, certificate = of_scaled()
    bound = bound_of_scaled(first, t)
    for other in (k for k in range(4) if k != first):
        read = np.full((2, 4), -1000.0)
        read[:, first] = 0
        read[:, other] = [-1.001 * bound[other] - 1e-3, -0.999 * bound[other]]
        assert certificate.decided((read - OFFSET) / SCALE, t).tolist() == [True, False]


def test_the_class_is_the_first_behind_scale_and_offset():
    """Of the second row, class 2 leads before them and class 3 behind them."""
    _, certificate = of_scaled()
    scores = np.array([[10.0, 0.0, 0.0, 11.0], [0.0, 0.0, 3.0, 0.0]])
    read = scores * SCALE + OFFSET
    assert read.argmax(axis=1).tolist() == [3, 3] and scores.argmax(axis=1).tolist() == [3, 2]
    assert certificate.decided(scores, STEPS).tolist() == [True, True]
    near = bound_of_scaled(3, STEPS - 1)[0]
    scores = (np.array([[0.0, -900, -900, near * 0.99], [0.0, -900, -900, near * 1.01 + 1e-3]]) - OFFSET) / SCALE
    assert certificate.decided(scores, STEPS - 1).tolist() == [False, True]


def behind_softmax(parts):
    scaled(parts)
    parts.readout[0].input[1], name = "probabilities", parts.readout[0].input[1]
    parts.readout.insert(0, helper.make_node("Softmax", [name], ["probabilities"], name="soft"))


def by_sample(parts):
    scaled(parts)
    next(tensor for tensor in parts.constants if tensor.name == "s").CopyFrom(
        from_array(np.ones((2, 4), np.float32), "s")
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (behind_softmax, r"node 'soft' \(Softmax\) .* keep the order of the classes"),
        (by_sample, r"node 'mul' \(Mul\) .* keep the order of the classes"),
    ],
)
def test_scales_of_what_is_no_score_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        find_linear_path(altered(change), "y")


def test_scores_that_change_without_events_are_refused():
    path = find_linear_path(parts_of("mlp"), "y")
    shift = helper.make_node("Add", [str(path.change), "shift"], ["shifted"])
    parts = altered(lambda parts: parts.constants.append(from_array(np.ones(4, np.float32), "shift")))
    shifted = LinearPath(path.scores, "shifted", path.sources, (*path.nodes, shift))
    with pytest.raises(InputError, match="change without events"):
        Certificate(shifted, TorchBackend(parts, "cpu", "float32"), {"h/event": Layout((1, 5), 0)}, {}, 1, STEPS)
