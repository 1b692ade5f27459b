"""The benchmark's own parts: what it measures and counts on networks of a few layers, what it keeps and says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikec
from benchmarks.accuracy import __main__ as command
from benchmarks.accuracy import converters, own
from benchmarks.accuracy.networks import Network
from benchmarks.accuracy.plot import plot
from benchmarks.accuracy.results import Measured, check_setup, load, save, setup_of
from benchmarks.accuracy.row import TIMES, Point, Row, score
from benchmarks.accuracy.subject import Subject
from benchmarks.accuracy.synapses import Synapses
from benchmarks.accuracy.table import behind, markdown
from benchmarks.configuration import Configuration
from benchmarks.datasets import VARIABLE, Images
from spikec.errors import EnvironmentMissing, ModelError, UsageError
from spikec.ledger import ledger
from tests.models.graphs import normal, parse
from tests.models.tiny import between, mlp, samples

IGNORE = lambda done, total: None  # noqa: E731


def subject_of(model, count=20):
    """A network with its own answers as labels."""
    test = samples(count)["x"]
    unlabelled = Subject.of(model, Images(samples(16, seed=1)["x"], test, np.zeros(count, int)))
    return replace(unlabelled, images=replace(unlabelled.images, labels=unlabelled.logits.argmax(axis=1)))


def row(*accuracies, reason=""):
    points = dict(zip(TIMES, accuracies, strict=False))
    return Row(
        "what", {t: Point(a, a, 1 - a, 0.5, 2e6) for t, a in points.items()}, reason=reason, date="today", tools={}
    )


@pytest.fixture
def subject():
    return subject_of(mlp())


def test_a_configuration_is_measured_at_every_number_of_steps(subject):
    told = []
    found = own.measure(Configuration("d", "as it is"), subject, TIMES, lambda done, total: told.append((done, total)))
    assert list(found.points) == list(TIMES)
    assert found.points[64].accuracy == found.points[64].agreement > 0.9
    assert found.points[64].distance < found.points[8].distance < 1
    assert found.settings["steps"] == list(TIMES)
    assert told == sorted(told)
    assert told[-1] == (20 * sum(TIMES), 20 * sum(TIMES))
    assert Row.of(json.loads(json.dumps(found.as_dict()))) == found


def test_operations_of_two_layers_are_events_times_fan_out(subject):
    (point,) = own.measure(Configuration("d", "as it is"), subject, (8,), IGNORE).points.values()
    hidden = next(tensor.dims[0] for tensor in subject.model.graph.initializer if tensor.name == "b1")
    events = point.rate * 8 * hidden  # of one image; each reaches the three outputs
    assert events > 0
    assert point.operations == pytest.approx(3 * events)


def test_a_binary_network_does_one_addition_for_each_weight_and_step(subject):
    chosen = {"dead_zone": 0.0, "coding": "spike"}
    (point,) = own.measure(Configuration("b", "binary", chosen=chosen), subject, (4,), IGNORE).points.values()
    synapses = Synapses.of(spikec_level(subject, **chosen), {"x": subject.images.test[:1]})
    assert point.rate == 1
    assert point.operations == 4 * synapses.macs


def spikec_level(subject, **chosen):
    return spikec.prepare(subject.model, calibration=subject.images.calibration, **chosen).levels.neurons


MANY = """g (float[N, 4, 6, 6] x) => (float[N, 5] y) {
    [stem] a = Conv<pads = [1, 1, 1, 1]>(x, k1) [act1] b = Relu(a)
    [depthwise] c = Conv<pads = [1, 1, 1, 1], strides = [2, 2], group = 4>(b, k2) [act2] d = Relu(c)
    [point] e = Conv(d, k3) [shortcut] s = Conv<strides = [2, 2]>(b, k3) [sum] f = Add(e, s)
    [flat] h = Flatten(f) [left] i = Unsqueeze(h, two) [mix] j = MatMul(m, i) [back] k = Squeeze(j, two)
    [head] y = Gemm<transB = 1>(k, w)
}"""


@pytest.fixture(scope="module")
def many():
    weights = {"k1": normal(4, 4, 3, 3), "k2": normal(4, 1, 3, 3), "k3": normal(4, 4, 1, 1), "two": np.array([2])}
    return parse(MANY, **weights, m=normal(7, 36), w=normal(5, 7))


def test_synapses_of_every_kind_of_operator(many):
    x = np.random.default_rng(0).standard_normal((4, 4, 6, 6)).astype(np.float32)
    subject = Subject.of(many, Images(x, x, np.zeros(4, int)))
    found = {w.name: w for w in Synapses.of(spikec_level(subject), {"x": x[:1]}).weights}
    macs = {name: weights.macs for name, weights in found.items()}
    assert macs == {
        "stem": 4 * 36 * 4 * 9,
        "depthwise": 4 * 9 * 9,
        "point": 4 * 9 * 4,
        "shortcut": 4 * 9 * 4,
        "mix": 7 * 36,
        "head": 5 * 7,
    }
    first, second = sorted(found["mix"].sources, key=lambda name: name != next(iter(found["depthwise"].sources)))
    assert not found["stem"].sources
    assert found["depthwise"].sources == found["shortcut"].sources == {first: 1}
    assert found["point"].sources == {second: 1}
    assert found["head"].sources == {first: 1, second: 1}  # both events of the sum go on


def test_the_ledger_counts_the_same_multiply_accumulates(many):
    x = np.random.default_rng(0).standard_normal((4, 4, 6, 6)).astype(np.float32)
    prepared = spikec.prepare(many, calibration=x)
    synapses = Synapses.of(prepared.levels.neurons, {"x": x[:1]})
    found = ledger(prepared.compile(steps=2), x)
    assert found.usual_macs == synapses.macs
    assert {layer.name: layer.usual_macs for layer in found.layers} == {w.name: w.macs for w in synapses.weights}


def test_operations_sum_where_neurons_meet(many):
    x = np.ones((2, 4, 6, 6), np.float32)
    synapses = Synapses.of(spikec_level(Subject.of(many, Images(x, x, np.zeros(2, int)))), {"x": x[:1]})
    first, second = synapses.neurons
    fed_by_first = 4 * 9 * 9 + 4 * 9 * 4 + 7 * 36 + 5 * 7
    assert synapses.operations({first: 1.0, second: 0.0}) == fed_by_first
    assert synapses.operations({first: 0.5, second: 2.0}) == 0.5 * fed_by_first + 2 * (4 * 9 * 4 + 7 * 36 + 5 * 7)


def test_events_of_joined_inputs_reach_their_own_part():
    text = """g (float[N, 6] x) => (float[N, 2] y) {
        [a] r = Relu(x) [first] h = MatMul(x, w1) [b] s = Sigmoid(h)
        [join] j = Concat<axis = 1>(r, s, r) [head] y = MatMul(j, w2) }"""
    model = parse(text, w1=normal(6, 4), w2=normal(16, 2))
    x = normal(4, 6)
    synapses = Synapses.of(spikec_level(Subject.of(model, Images(x, x, np.zeros(4, int)))), {"x": x[:1]})
    relu, sigmoid = synapses.neurons
    assert synapses.operations({relu: 1.0, sigmoid: 0.0}) == 12 * 2
    assert synapses.operations({relu: 0.0, sigmoid: 3.0}) == 3 * 4 * 2
    assert synapses.macs == 6 * 4 + 16 * 2


def test_weights_that_are_not_counted_are_refused():
    text = "g (float[N, 2, 3, 3] x) => (float[N, 2, 5, 5] y) { [act] r = Relu(x) [up] y = ConvTranspose(r, k) }"
    with pytest.raises(ModelError, match="node 'up': synaptic operations of ConvTranspose"):
        Synapses.of(parse(text, k=normal(2, 2, 3, 3)), {"x": np.ones((1, 2, 3, 3), np.float32)})


def test_a_converter_that_refuses_gives_the_reason():
    found = converters.measure("subgradient-max", subject_of(between("h = Tanh(a)")), TIMES, IGNORE)
    assert not found.points
    assert "integrate-and-fire neuron can only be a ReLU" in found.reason
    assert found.what == "integrate-and-fire dynamics, eta(t) = 1/(t+1), range max"


def test_figures_of_three_answers():
    logits = np.array([[1.0, 0], [0, 1], [3, 0]])
    whole = Subject(mlp(), Images(logits, logits, np.array([0, 1, 1])), logits)
    assert whole.accuracy == pytest.approx(2 / 3)
    point = score(np.array([[1.0, 0], [2, 1], [3, 4]]), 0.25, None, whole)
    assert (point.accuracy, point.agreement) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert point.distance == pytest.approx((20 / 11) ** 0.5)


def test_the_most_accurate_row_is_named_where_the_default_is_behind():
    rows = {"default": row(0.1, 0.5, 0.9), "a": row(0.2, 0.5, 0.95), "b": row(0.3, 0.4, 0.8), "c": row(reason="no")}
    assert behind(rows) == "`default` is behind `b` at T = 2; `default` is behind `a` at T = 8."
    assert behind({"default": row(0.5, 0.5), "a": row(0.5, 0.4)}) == "No row is more accurate than `default` at any T."
    assert behind({"a": row(0.5)}) == "There is no row `default` to compare with."


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=6))
def test_every_time_at_which_the_default_is_behind_is_told(scores):
    names = ("default", "a", "b")
    rows = {name: row(*(entry[i] / 4 for entry in scores)) for i, name in enumerate(names)}
    expected = {t for t, (mine, *others) in zip(TIMES, scores, strict=False) if max(others) > mine}
    told = behind(rows).rstrip(".").split(" at T = ")[1:]
    assert {int(word) for part in told for word in part.split(";")[0].split(", ")} == expected


def test_the_report_and_the_rows_on_file(tmp_path):
    rows = {"default": row(*[0.5] * 6), "paper": row(*[0.25] * 6), "none": row(reason="node 'a': no way")}
    networks = {"tiny": Measured({"weights": "w", "test images": 20}, 0.75, 3e6, rows)}
    save(tmp_path / "new" / "a.json", networks, "the command")
    assert load(tmp_path / "new" / "a.json") == networks
    assert load(tmp_path / "none.json") == {}
    text = markdown(networks, {"tiny": "A tiny network"}, "the command")
    assert "| default | 0.5000 / 0.5000 |" in text
    assert "| paper | 0.750 / 0.500 / 2.0 |" in text
    assert "- trained network: accuracy 0.7500, 3.0 M multiply-accumulates" in text
    assert "- none (what): node 'a': no way" in text
    assert "| none |" not in text
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UsageError, match="no results file"):
        load(tmp_path / "a.json")


def test_rows_of_other_images_are_refused(subject):
    measured = Measured(setup_of(subject), 1.0, 1.0)
    check_setup("tiny", measured, setup_of(subject))
    with pytest.raises(UsageError, match="tiny on file were measured with test images 20 instead of 3"):
        check_setup("tiny", measured, {**setup_of(subject), "test images": 3})


def test_the_same_numbers_give_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    networks = {"tiny": Measured({}, 0.75, 3e6, {"default": row(*[0.5] * 6), "other": row(0.1, reason="")})}
    for name in ("a.svg", "b.svg"):
        plot(networks, {"tiny": "A tiny network"}, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


@pytest.fixture
def tiny(monkeypatch):
    """The command with a network of two layers and two rows; the list grows by the name of every row measured."""
    pytest.importorskip("matplotlib")
    measured = []

    def noting(name, of, times, progress):
        measured.append(name)
        return converters.measure(name, of, (2, 4), progress)

    load_tiny = lambda source: subject_of(mlp(), source.images or 20)  # noqa: E731
    monkeypatch.setattr(command, "NETWORKS", (Network("tiny", "A tiny network", load_tiny),))
    monkeypatch.setattr(command, "_NAMES", ("tiny",))
    monkeypatch.setattr(command, "CONVERTERS", {name: converters.CONVERTERS[name] for name in ("default", "paper")})
    monkeypatch.setattr(command, "measure", noting)
    return measured


def test_rows_on_file_are_kept_until_asked_for(tiny, tmp_path, capsys):
    output = ["--output", str(tmp_path / "a.md")]
    assert command.main(output) == 0
    assert tiny == ["default", "paper"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".json", ".svg"}
    assert "tiny, default: T=2" in capsys.readouterr().err
    assert command.main(output) == 0
    assert tiny == ["default", "paper"]
    assert command.main([*output, "--only", "paper"]) == 0
    assert tiny == ["default", "paper", "paper"]
    assert command.main([*output, "--anew"]) == 0
    assert tiny == ["default", "paper", "paper", "default", "paper"]
    assert command.main([*output, "--images", "7"]) == UsageError.exit_code
    assert "test images 20 instead of 7" in capsys.readouterr().err
    assert command.main([*output, "--images", "7", "--anew"]) == 0
    assert "python -m benchmarks.accuracy --images 7" in (tmp_path / "a.md").read_text()


def test_the_command_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    ours = ["--only", "default", "--output", str(tmp_path / "a.md")]
    assert command.main([*ours, "--network", "vit"]) == EnvironmentMissing.exit_code
    assert "no data folder" in capsys.readouterr().err
    assert command.main([*ours, "--network", "vit", "--data", str(tmp_path)]) == EnvironmentMissing.exit_code
    assert "has no cifar10.npz" in capsys.readouterr().err
    assert command.main(["--only", "nothing"]) == UsageError.exit_code
    assert "there is no row nothing; choose among default, tuned, strict" in capsys.readouterr().err
    assert command.main(["--network", "nothing"]) == UsageError.exit_code
    assert command.main([*ours, "--images", "0"]) == UsageError.exit_code
