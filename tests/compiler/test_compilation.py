"""The whole path from Python: ways to give model and data, the same bytes for the same inputs, nothing touched."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

import spikec
from spikec.equivalence import relative_distance
from spikec.onnx_session import run_model
from spikec.options import from_preset
from spikec.prepared import Progress
from spikec.runtime import Session
from tests.models import tiny
from tests.models.forms import compiled
from tests.models.graphs import initializer, normal, parse
from tests.models.networks import network

X = tiny.samples(7)["x"]
TENSOR = torch.from_numpy(X)
SOURCES = {
    "tensor": lambda: TENSOR,
    "mapping with labels": lambda: {"x": X, "labels": tiny.samples(7)["labels"]},
    "list of batches": lambda: [X[:3], X[3:]],
    "generator of pairs": lambda: ((X[i : i + 2], None) for i in range(0, 7, 2)),
    "mappings of tensors": lambda: [{"x": TENSOR[:3]}, {"x": TENSOR[3:]}],
    "loader": lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(TENSOR), batch_size=4),
}
NAMES, FORMS = ("dense", "attention", "gated linear unit", "readout of the input"), ("loop", "unrolled", "step")
PRINT_DIGESTS = f"""
from hashlib import sha256
from tests.models.forms import compiled
for name in {NAMES}:
    for form in {FORMS}:
        print(sha256(compiled(name, form).model.SerializeToString()).hexdigest())
"""


def bytes_of(artifact):
    return artifact.model.SerializeToString()


@pytest.fixture(scope="module")
def expected():
    return spikec.compile(tiny.mlp(), calibration=X, steps=4)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_samples_however_they_are_given(expected, kind):
    artifact = spikec.compile(tiny.mlp(), calibration=SOURCES[kind](), steps=4)
    assert artifact.manifest["calibration"]["samples"] == 7
    assert artifact.manifest["neurons"] == expected.manifest["neurons"]
    assert artifact.model.graph == expected.model.graph


def test_the_same_model_however_it_is_given(expected, tmp_path):
    path = tiny.save(tiny.mlp(), tmp_path / "mlp.onnx")
    by_path, by_name = (spikec.compile(kind(path), calibration=X, steps=4) for kind in (Path, str))
    assert bytes_of(by_path) == bytes_of(by_name)
    assert by_path.model.graph == expected.model.graph
    assert (by_path.manifest["source"]["name"], expected.manifest["source"]["name"]) == ("mlp.onnx", "mlp")


def test_options_are_given_whole_or_one_by_one(expected):
    options = from_preset("default", steps=4)
    assert bytes_of(spikec.compile(tiny.mlp(), calibration=X, options=options)) == bytes_of(expected)
    paper = spikec.compile(tiny.mlp(), calibration=X, preset="paper", steps=4)
    assert paper.manifest["options"] == from_preset("paper", steps=4).as_dict()
    with pytest.raises(spikec.UsageError) as refused:
        spikec.compile(tiny.mlp(), options=spikec.Options(), steps=4)
    assert str(refused.value) == "give either options or single settings, not both"


@pytest.mark.parametrize("late", [{"steps": 9}, {"form": "step"}, {"dead_zone": 0.0, "schedule": "inverse"}], ids=str)
def test_what_is_prepared_once_compiles_as_if_anew(late):
    case = network("deep")
    prepared = spikec.prepare(case.model, calibration=case.feeds(6), steps=4, schedule="exponential")
    first = bytes_of(prepared.compile())
    anew = spikec.compile(case.model, calibration=case.feeds(6), **{"steps": 4, "schedule": "exponential", **late})
    assert bytes_of(prepared.compile(**late)) == bytes_of(anew) != first
    assert bytes_of(prepared.compile()) == first, "one compilation leaves nothing behind, warnings included"


def test_what_a_preparation_rests_on_cannot_change(expected):
    prepared = spikec.prepare(tiny.mlp(), calibration=X, steps=4)
    assert bytes_of(prepared.compile()) == bytes_of(expected)
    with pytest.raises(spikec.UsageError) as refused:
        prepared.compile(steps=8, range_rule="max", coding="spike")
    assert str(refused.value) == "coding, range_rule cannot change after the preparation; prepare the model anew"
    with pytest.raises(spikec.UsageError, match="steps is 0"):
        prepared.compile(steps=0)
    with pytest.raises(spikec.UsageError) as refused:
        prepared.compile(colour=1, coding="spike")
    assert str(refused.value) == "unknown option colour; see spikec.Options for the names"


def test_a_wrong_schedule_is_an_error_even_where_there_is_no_neuron():
    case = network("no neuron")
    prepared = spikec.prepare(case.model, calibration=case.feeds(6))
    with pytest.raises(spikec.UsageError, match="there is no schedule 'odd'"):
        prepared.compile(schedule="odd")
    with pytest.raises(spikec.UsageError, match="there is no schedule 'odd'"):
        spikec.compile(case.model, calibration=case.feeds(6), schedule="odd")


def test_another_process_makes_the_same_bytes():
    """There strings hash differently, so that sets have another order."""
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PRINT_DIGESTS]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=env, cwd=Path(__file__).parents[2])
    digests = [sha256(bytes_of(compiled(name, form))).hexdigest() for name in NAMES for form in FORMS]
    assert found.stdout.split() == digests


@pytest.mark.parametrize("name", ["layer norm", "reshape by the batch", "two heads"])
def test_model_and_samples_are_left_as_they_were(name):
    case, feeds = network(name), network(name).feeds(6)
    before, arrays = case.model.SerializeToString(deterministic=True), {k: v.copy() for k, v in feeds.items()}
    artifact = spikec.compile(case.model, calibration=feeds, steps=3, granularity="strict", coding="spike")
    assert case.model.SerializeToString(deterministic=True) == before
    assert artifact.levels.models["source"] is case.model
    assert all(np.array_equal(feeds[key], value) for key, value in arrays.items())


def test_a_torch_module():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten()]
    net = torch.nn.Sequential(*layers, torch.nn.Dropout(0.5), torch.nn.Linear(64, 3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    artifact = spikec.compile(net, torch.ones(1, 2, 6, 6), calibration=tiny.images(16)["image"], steps=64)
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    source = artifact.manifest["source"]
    assert (source["name"], source["kind"], len(source["sha256"])) == ("Sequential", "torch", 64)
    images = tiny.images(5, seed=3)["image"]  # another batch than that of the examples
    with torch.no_grad():
        wanted = net.eval()(torch.from_numpy(images)).numpy()
    assert relative_distance(Session(artifact.model).run(images).final["output"], wanted) < 0.05


def test_a_product_of_a_tensor_with_itself():
    text = "g (float[N, 4, 4] x) => (float[N, 4, 2] y) { h = Relu(x) z = MatMul(h, h) y = MatMul(z, w) }"
    model, x = parse(text, w=normal(4, 2)), normal(16, 4, 4)
    artifact = spikec.compile(model, calibration=x, steps=64)
    assert [(row["name"], row["kind"], row["inputs"]) for row in artifact.manifest["neurons"]] == [
        ("h", "unary", ["x"]),
        ("z", "product", ["h"]),
    ]
    wanted = run_model(model, {"x": x})["y"]
    assert relative_distance(Session(artifact.model).run(x).final["y"], wanted) < 0.05


def test_samples_that_fill_no_batch_of_a_fixed_size_are_told_of():
    model = tiny.build(tiny.MLP.replace("N", "4"))
    artifact = spikec.compile(model, calibration=tiny.samples(10)["x"], steps=2)
    told = "the model has a fixed batch of 4: the last 2 of 10 calibration samples are left out"
    assert artifact.warnings == artifact.manifest["warnings"] == [told]
    assert artifact.manifest["calibration"]["samples"] == 8
    whole = spikec.compile(model, calibration=tiny.samples(8)["x"], steps=2)
    assert whole.warnings == [] and whole.manifest["calibration"]["samples"] == 8


def test_level_three_is_calibrated_and_computes_what_the_source_does(expected):
    level, feeds = expected.levels.neurons, {"x": X}
    found, wanted = run_model(level, feeds)["y"], run_model(tiny.mlp(), feeds)["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    amplitude, (row,) = initializer(level, "act/amplitude"), expected.manifest["neurons"]
    assert [amplitude.min(), amplitude.max()] == row["amplitude"] and amplitude.size == row["amplitudes"] == 6
    assert (amplitude != 1).all()


def test_progress_is_told_by_stages_and_samples():
    stages, samples = [], []
    progress = Progress(stages.append, lambda done, total: samples.append((done, total)))
    spikec.compile(tiny.mlp(), calibration=tiny.samples(40)["x"], steps=2, progress=progress)
    last = ["calibrating", "fitting amplitudes layer by layer", "lowering to time steps", "done"]
    assert stages[0] == "loading the model" and stages[-4:] == last
    assert "level 0: running the source" in stages and "neurons: PlaceNeurons" in stages
    assert samples == [(32, 40), (40, 40), (1, 1)], "samples observed, then neurons fitted"
