"""What an artifact says of itself is what was asked for and what is in the file."""

import json
from hashlib import sha256
from importlib.metadata import version

import numpy as np
import pytest

import spikec
from spikec.artifact.manifest import FORMAT
from spikec.options import from_preset
from spikec.runtime import read_manifest
from tests.models import tiny
from tests.models.forms import FORMS, STEPS, compiled
from tests.models.graphs import initializer
from tests.models.networks import TEXTS, network

ASKED = {
    "all of it": {
        "steps": 7,
        "schedule": "exponential:start=0.3",
        "dead_zone": 0.25,
        "early_dead_zone": "unary=0.125,encoder=0.5",
        "coding": "spike",
        "granularity": "strict",
        "form": "unrolled",
        "ranges": "relu",
        "range_rule": "percentile:99.5",
        "range_per": "channel",
        "initial": "mean",
        "seed": 5,
    },
    "integrate-and-fire": {"steps": 3, "dynamics": "subgradient", "coding": "float", "form": "step"},
    "nothing": {},
}


def written(artifact):
    """The manifest as it stands in the file."""
    return json.loads({entry.key: entry.value for entry in artifact.model.metadata_props}["spikec"])


@pytest.mark.parametrize("case", ASKED)
def test_options(case):
    artifact = spikec.compile(tiny.mlp(), calibration=tiny.samples(), **ASKED[case])
    expected, found = from_preset("default", **ASKED[case]).as_dict(), written(artifact)
    assert found["options"] == expected
    assert all(found[name] == expected[name] for name in ("steps", "form", "dynamics"))
    subgradient = expected["dynamics"] == "subgradient"
    assert found["schedule"] == ("1/(t+1)" if subgradient else expected["schedule"])
    assert {len(row["eta"]) for row in found["neurons"]} == {expected["steps"]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dense", "deep", "two inputs", "readout of the input", "no neuron", "argmax"])
def test_the_file_says_what_the_artifact_says_and_the_runtime_reads_it(name, form):
    artifact = compiled(name, form)
    assert written(artifact) == artifact.manifest
    found, source = read_manifest(artifact.model), network(name).model.graph
    assert list(found.inputs) == [info.name for info in source.input]
    assert list(found.outputs) == [info.name for info in source.output]
    assert found.raw["format"] == FORMAT and found.steps == STEPS
    neurons = [neuron.name for neuron in artifact.recurrent.neurons]
    assert [neuron.event for neuron in found.neurons] == [f"{neuron}/event" for neuron in neurons]


@pytest.mark.parametrize("name", TEXTS)
def test_the_table_of_the_neurons_is_that_of_the_network(name):
    artifact = compiled(name)
    level = {node.name: node for node in artifact.levels.neurons.graph.node if node.domain == "spikec"}
    rows = artifact.manifest["neurons"]
    assert [row["name"] for row in rows] == list(level)
    for row in rows:
        node = level[row["name"]]
        assert row["function"] == node.op_type
        assert row["inputs"] == list(node.input)[: len(row["inputs"])]
        stored = initializer(artifact.levels.neurons, node.input[-2])
        assert row["amplitude"] == [float(stored.min()), float(stored.max())]
        assert row["amplitudes"] == stored.size
        assert row["reach"] == pytest.approx(stored.max() * sum(row["eta"]))
        assert row["range"][0] <= row["range"][1]


def test_the_readout_is_named():
    artifact = compiled("softmax")
    (soft,) = (node.name for node in artifact.levels.neurons.graph.node if node.op_type == "Softmax")
    expected = {"inputs": {"i": "i/estimate"}, "nodes": [soft, "y/wire"], "corrections": []}
    assert artifact.manifest["readout"] == expected


def test_a_model_file_is_told_by_its_bytes(tmp_path):
    folder = tmp_path / "somewhere"
    folder.mkdir()
    path = tiny.save(tiny.mlp(), folder / "net.onnx")
    np.savez(folder / "data.npz", x=tiny.samples(11)["x"])
    manifest = spikec.compile(str(path), calibration=folder / "data.npz", steps=2).manifest
    digest = sha256(path.read_bytes()).hexdigest()
    assert manifest["source"] == {"name": "net.onnx", "kind": "onnx", "sha256": digest}
    assert manifest["calibration"] == {"origin": "data.npz", "samples": 11}
    assert "somewhere" not in json.dumps(manifest), "equal inputs give equal bytes wherever they lie"


def test_a_model_in_memory_is_told_by_its_bytes():
    model = tiny.cnn()
    source = spikec.compile(model, calibration=tiny.images(), steps=2).manifest["source"]
    digest = sha256(model.SerializeToString(deterministic=True)).hexdigest()
    assert source == {"name": "cnn", "kind": "onnx", "sha256": digest}


def test_tools_are_those_installed():
    tools = compiled("mlp").manifest["tools"]
    assert tools["spikec"] == spikec.__version__
    assert tools == {name: version(name) for name in tools}
    assert {"onnx", "onnxruntime", "torch"} <= set(tools)


def test_warnings_stay_with_the_artifact():
    artifact = spikec.compile(tiny.mlp(), steps=2, schedule="constant:size=0.1")
    assert artifact.manifest["warnings"] == artifact.warnings == written(artifact)["warnings"]
    data, saturation = artifact.warnings
    assert data.startswith("no calibration data given") and "1 of 1 neuron nodes saturate" in saturation
    assert artifact.manifest["calibration"] == {"origin": "random numbers, seed 0", "samples": 16}
