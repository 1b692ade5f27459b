"""The entry on whole networks: what it takes, what it refuses, and whom it names."""

import json

import numpy as np
import onnx
import pytest
import torch

import spikec
from examples.digits_networks import mixer
from spikec.equivalence import relative_distance
from spikec.explaining import Explanation, explain
from spikec.explaining.figures import CAUSES
from spikec.onnx_session import run_model
from spikec.runtime import ArtifactError
from tests.models import tiny
from tests.models.forms import compiled, run_form
from tests.models.graphs import normal, parse
from tests.models.networks import WEIGHTS, network

ARRAYS = ("distance", "inherited", "own", "saturated", "dead", "rate")


def explained(name, samples=6, **options) -> Explanation:
    case = network(name)
    return explain(case.model, compiled(name, **options), case.feeds(samples, seed=70))


def at_end(name, feeds, **options):
    """How far the artifact's own outputs lie from the model's."""
    value, reference = run_form(compiled(name, **options), feeds), run_model(network(name).model, feeds)
    return {n: relative_distance(value[n], reference[n]) for n in reference}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deep", {}),
        ("two heads", {}),
        ("two heads", {"readout": "affine"}),
        ("an inner sum is an output", {"form": "step"}),
        ("attention", {"granularity": "strict"}),
        ("layer norm", {"granularity": "strict"}),
        ("residual", {"coding": "float"}),
        ("residual", {"coding": "spike", "form": "step"}),
        ("two inputs", {"range_rule": "max"}),
        ("softmax", {}),
    ],
)
def test_networks_of_all_kinds(name, options):
    found = explained(name, **options)
    neurons = [row["name"] for row in compiled(name, **options).manifest["neurons"]]
    assert found.names == neurons and sorted(found.ranking) == sorted(neurons) and found.advice.keys() == set(neurons)
    assert found.shares.keys() == set(neurons) and np.isfinite(list(found.shares.values())).all()
    for what in ARRAYS:
        array = getattr(found.figures, what)
        assert array.shape == (len(neurons), found.steps) and np.isfinite(array).all() and (array >= 0).all(), what
    expected = at_end(name, network(name).feeds(6, seed=70), **options)
    assert {n: course[-1] for n, course in found.outputs.items()} == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert all(len(course) == found.steps for course in found.outputs.values())
    assert max(found.floor.values()) < 1e-4 and found.warnings == []
    json.dumps(found.as_dict(), allow_nan=False)


def test_an_output_of_classes_counts_those_that_differ():
    found = explained("argmax", 40)
    case, feeds = network("argmax"), network("argmax").feeds(40, seed=70)
    expected = np.mean(run_model(compiled("argmax").model, feeds)["y"] != run_model(case.model, feeds)["y"])
    assert found.outputs["y"][-1] == pytest.approx(expected)
    assert found.shares == pytest.approx({"h": 1.0}, abs=1e-3)  # the share is that of the scores


def test_affine_corrections_are_no_neurons_error():
    case, calibration = network("deep"), network("deep").feeds(200, seed=5)
    artifact = spikec.compile(case.model, calibration=calibration, steps=3, readout="affine")
    assert artifact.recurrent.corrections
    plain = spikec.compile(case.model, calibration=calibration, steps=3)
    with_, without = (explain(case.model, a, case.feeds(64, seed=6)) for a in (artifact, plain))
    assert max(with_.floor.values()) < 1e-4
    np.testing.assert_array_equal(with_.figures.own, without.figures.own)
    assert with_.shares == without.shares
    assert with_.outputs["y"][-1] < without.outputs["y"][-1]


def test_batches_change_nothing():
    case, artifact = network("residual"), compiled("residual")
    x = case.feeds(37, seed=1)["x"]
    whole = explain(case.model, artifact, x)
    assert whole.samples == 37
    parts = [explain(case.model, artifact, x[i : i + 1]) for i in range(37)]
    rate = np.mean([part.figures.rate for part in parts], axis=0)
    np.testing.assert_allclose(whole.figures.rate, rate, atol=1e-6)


def test_only_the_first_samples():
    case, artifact = network("deep"), compiled("deep")
    x = case.feeds(9, seed=1)["x"]
    few, same = explain(case.model, artifact, x, samples=4), explain(case.model, artifact, x[:4])
    assert few.samples == 4
    np.testing.assert_array_equal(few.figures.distance, same.figures.distance)
    assert explain(case.model, artifact, x, samples=100).samples == 9


def test_a_network_without_neurons():
    found = explained("no neuron")
    assert found.names == [] and found.ranking == [] and found.shares == {}
    assert found.figures.own.shape == (0, found.steps) and found.outputs["y"].max() < 1e-5
    assert "no neurons" in found.verdict()


def test_paths_bytes_and_models(tmp_path):
    case, artifact = network("mlp"), compiled("mlp")
    path = artifact.save(tmp_path / "a.onnx")
    np.savez(tmp_path / "x.npz", **case.feeds(6, seed=70))
    expected = explain(case.model, artifact, case.feeds(6, seed=70)).as_dict()
    for given in (path, str(path), path.read_bytes(), onnx.load(path)):
        found = explain(case.model, given, tmp_path / "x.npz").as_dict()
        assert {**found, "artifact": ""} == {**expected, "artifact": ""}


def test_torch_modules():
    module, x = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.Linear(8, 3)), normal(20, 6)
    example = torch.from_numpy(x[:2])
    found = explain(module, spikec.compile(module, example, calibration=x, steps=4), x, example_inputs=example)
    assert len(found.names) == 1 and found.model == "Sequential"


def test_saturated_neurons_of_the_papers_configuration_are_named():
    """It scales ReLU only: the squares, norms and GELUs of an MLP-Mixer lie beyond their reach, the squares by far."""
    torch.manual_seed(0)
    module, images = mixer().eval(), normal(8, 1, 32, 32, seed=1)
    for weights in module.parameters():  # the heads of the MLPs start at zero
        if weights.ndim > 1 and not weights.any():
            torch.nn.init.normal_(weights, std=0.1)
    example = torch.zeros(2, 1, 32, 32)
    artifact = spikec.compile(module, example, calibration=images, preset="paper", steps=32)
    saturating = {row["name"] for row in artifact.manifest["neurons"] if row["saturates"]}
    assert len(saturating) > 5
    found = explain(module, artifact, images, example_inputs=example, most=3)
    share = dict(zip(found.names, found.figures.saturated[:, -1], strict=True))
    assert all(share[name] > 0 for name in saturating)
    assert found.ranking[0] in saturating and found.ranking[0].endswith("square")
    squares = [name for name in saturating if name.endswith("square")]
    assert len(squares) == 9
    assert all("saturated" in found.advice[name] and "--ranges every" in found.advice[name] for name in squares)
    assert "saturated" in found.verdict() and "--ranges every" in found.verdict()


def test_the_advice_of_strict_networks_points_to_composite():
    found = explained("attention", granularity="strict")
    inheriting = [n for n in found.names if "inherits" in found.advice[n]]
    assert "h" in inheriting and all("--granularity composite" in found.advice[n] for n in inheriting)
    assert not any("composite" in sentence for sentence in explained("attention").advice.values())


def test_who_is_misled_is_not_told_to_reach_farther():
    """Where the logarithm of a softmax's sum is late, the exponential is far beyond anything that the ANN says."""
    found = explained("attention", granularity="strict")
    misled = found.figures.causes[:, CAUSES.index("misled")]
    assert misled[found.names.index("g/normalised")] > 0.9
    assert "look at 'g/axis2/" in found.advice["g/normalised"] and "reach" not in found.advice["g/normalised"]


def test_who_inherits_is_sent_to_the_worst_neuron_before_it():
    case = network("deep")
    artifact = spikec.compile(case.model, calibration=case.feeds(64), steps=24, schedule="geometric", range_rule="max")
    spoilt = next(t for t in artifact.model.graph.initializer if t.name == "e/amplitude")
    spoilt.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(spoilt) * np.float32(0.1), spoilt.name))
    found = explain(case.model, artifact, case.feeds(16, seed=70))
    assert "look at 'e' before it" in found.advice["g"] and "look at 'g' before it" in found.advice["h"]
    assert "inherits" not in found.advice["e"]


def test_a_fixed_batch_takes_whole_batches():
    text = "g (float[4, 6] x) => (float[4, 4] y) { a = Gemm(x, w, b) [h] h = Relu(a) y = Gemm(h, v, c) }"
    model = parse(text, **WEIGHTS)
    artifact = spikec.compile(model, calibration=normal(8, 6), steps=4)
    found = explain(model, artifact, normal(11, 6))
    assert found.samples == 8 and found.share_samples == 4
    assert any("fixed batch of 4: 8 of 11" in warning for warning in found.warnings)
    with pytest.raises(spikec.UsageError, match="fixed batch of 4"):
        explain(model, artifact, normal(3, 6))


def test_what_no_neuron_is_to_blame_for_is_told_apart():
    """--quantisation drop changes the network itself."""
    text = """g (float[N, 6] x) => (float[N, 4] y) {
        a = Gemm(x, w, b) h = Relu(a) i = QuantizeLinear(h, scale, zero) j = DequantizeLinear(i, scale, zero)
        k = Gemm(j, q) [m] m = Tanh(k) y = Gemm(m, v)
    }"""
    model = parse(text, **WEIGHTS | {"scale": np.float32(0.4), "zero": np.uint8(0)})
    artifact = spikec.compile(model, calibration=normal(40, 6), steps=32, quantisation="drop")
    found = explain(model, artifact, normal(20, 6, seed=3))
    assert 0.01 < found.floor["y"] < found.outputs["y"][-1] * 1.5
    assert any("no neuron is to blame" in warning for warning in found.warnings)


def test_another_model_is_refused():
    case = network("mlp")
    other = parse("g (float[N, 6] x) => (float[N, 4] y) { a = Gemm(x, w, b) h = Relu(a) y = Gemm(h, v) }", **WEIGHTS)
    with pytest.raises(spikec.ModelError, match=r"made from another model: .*compile this one"):
        explain(other, compiled("mlp"), case.feeds(4))


def test_what_is_no_artifact_of_steps_is_refused():
    case = network("mlp")
    with pytest.raises(spikec.ModelError, match=r"form unrolled.*--form loop"):
        explain(case.model, compiled("mlp", form="unrolled"), case.feeds(4))
    with pytest.raises(ArtifactError, match="no manifest"):
        explain(case.model, case.model, case.feeds(4))


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"samples": -1}, {"most": 0}])
def test_numbers_below_one_are_refused(wrong):
    with pytest.raises(spikec.UsageError, match="1 at least"):
        explain(network("mlp").model, compiled("mlp"), network("mlp").feeds(4), **wrong)


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(spikec.UsageError, match="shape"):
        explain(network("mlp").model, compiled("mlp"), normal(4, 7))


def test_progress_comes_to_its_end():
    told = []
    case = network("deep")
    explain(case.model, compiled("deep"), case.feeds(40), progress=lambda *args: told.append(args))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["following the neurons", "making neurons ideal"]
    for stage in stages:
        done = [(done, total) for name, done, total in told if name == stage]
        assert [d for d, _ in done] == sorted(d for d, _ in done) and done[-1][0] == done[-1][1]


def test_a_csv_holds_every_neuron_and_step(tmp_path):
    found = explain(
        tiny.mlp(), spikec.compile(tiny.mlp(), calibration=tiny.samples()["x"], steps=4), tiny.samples()["x"]
    )
    found.write_csv(tmp_path / "f.csv")
    header, *lines = (tmp_path / "f.csv").read_text().splitlines()
    assert header == "neuron,t,distance,inherited,own,saturated,dead,rate"
    assert [line.split(",")[:2] for line in lines] == [["act", str(t)] for t in range(1, 5)]
    values = np.array([line.split(",")[2:] for line in lines], float)
    np.testing.assert_array_equal(values, np.stack([getattr(found.figures, what)[0] for what in ARRAYS], axis=1))
