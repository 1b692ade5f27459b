"""The levels of a compilation as files: each one loads, and levels 4 and 5 compute the same by different ways."""

import numpy as np
import onnx
import pytest

import spikec
from spikec.artifact.dump import dump_levels, level_four
from spikec.onnx_session import open_session, run_model, run_session
from tests.models.forms import STEPS, compiled, run_form
from tests.models.graphs import operators
from tests.models.networks import TEXTS, flat, network

NAMES = ["0_source", "1_canonical", "2_primitive", "3_neurons", "4_init", "4_step", "4_readout", "5_artifact"]
TIMED = [name for name in TEXTS if not name.startswith("no neuron")]


def step_by_step(artifact, models, feeds):
    """Init once, step T times, readout once, joined by the names in the manifest only."""
    manifest = artifact.manifest
    started = {**feeds, **run_model(models["init"], feeds)}
    held = {name: started[name] for name in manifest["held"]}
    states = {state["name"]: started[state["initial"]] for state in manifest["states"]}
    session = open_session(models["step"])
    wanted = {info.name for info in models["step"].graph.input}
    for t in range(manifest["steps"]):
        fed = {**states, **held, "spikec/t": np.array(t)}
        found = run_session(session, {name: fed[name] for name in wanted})
        states = {state["name"]: found[state["next"]] for state in manifest["states"]}
    finals = {f"{name}/final": value for name, value in states.items()}
    return run_model(models["readout"], {**finals, **held})


@pytest.mark.parametrize("name", TIMED)
def test_init_step_and_readout_make_up_the_artifact(name):
    artifact, feeds = compiled(name), network(name).feeds(3)
    models = level_four(artifact.recurrent)
    assert list(models) == ["init", "step", "readout"]
    for model in models.values():
        onnx.checker.check_model(model, full_check=True)
    found, expected = step_by_step(artifact, models, feeds), run_form(artifact, feeds)
    assert list(found) == list(expected)
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"dynamics": "subgradient"}, {"coding": "float"}, {"initial": "mean", "range_per": "channel"}], ids=str
)
def test_other_dynamics_and_settings(options):
    artifact, feeds = compiled("dense", **options), network("dense").feeds(3)
    found = step_by_step(artifact, level_four(artifact.recurrent), feeds)
    np.testing.assert_allclose(flat(found), flat(run_form(artifact, feeds)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["loop", "unrolled", "step"])
@pytest.mark.parametrize("name", ["dense", "layer norm", "reshape by the batch", "argmax"])
def test_every_file_is_a_valid_model_of_its_level(tmp_path, name, form):
    artifact = compiled(name, form)
    paths = dump_levels(artifact, tmp_path)
    assert sorted(path.stem for path in paths) == sorted(NAMES) and set(paths) == set(tmp_path.iterdir())
    models = {path.stem: onnx.load(path) for path in paths}
    for model in models.values():
        onnx.checker.check_model(model, full_check=True)
        open_session(model)
    assert models["0_source"] == network(name).model
    assert models["3_neurons"] == artifact.levels.neurons and models["5_artifact"] == artifact.model
    assert not any(op.startswith("spikec") for stem in NAMES[:3] for op in operators(models[stem]))
    count = len(artifact.manifest["neurons"])
    assert [sum(op.startswith("spikec::") for op in operators(models[stem])) for stem in ("3_neurons", "4_step")] == [
        count,
        count,
    ]


def test_strict_levels_are_opened_between_one_and_two(tmp_path):
    paths = dump_levels(compiled("max pool", granularity="strict"), tmp_path)
    found = {path.stem: operators(onnx.load(path)) for path in paths}
    assert "MaxPool" in found["1_canonical"] and "MaxPool" not in found["2_primitive"]
    assert "Max" in found["2_primitive"] and "spikec::Max" in "".join(found["3_neurons"])


@pytest.mark.parametrize("name", ["no neuron", "no neuron, readout"])
def test_without_neurons_there_is_no_step(tmp_path, name):
    artifact, feeds = compiled(name), network(name).feeds(3)
    paths = dump_levels(artifact, tmp_path)
    assert sorted(path.stem for path in paths) == sorted(set(NAMES) - {"4_step"})
    models = {path.stem: onnx.load(path) for path in paths}
    found = run_model(models["4_readout"], run_model(models["4_init"], feeds))
    np.testing.assert_allclose(flat(found), flat(run_model(network(name).model, feeds)), rtol=1e-5)


def test_the_step_knows_nothing_of_the_input_and_time_is_not_in_it(tmp_path):
    dump_levels(compiled("mlp"), tmp_path)
    step = onnx.load(tmp_path / "4_step.onnx").graph
    inputs = [info.name for info in step.input]
    assert inputs[0] == "spikec/t" and "x" not in inputs
    assert not any(node.op_type in ("Loop", "If") for node in step.node)
    tables = {tensor.name: list(tensor.dims) for tensor in step.initializer if tensor.name.endswith("/table")}
    assert tables == {"spikec/eta0/table": [STEPS], "spikec/theta1/table": [STEPS]}


def test_folders_are_made_and_older_files_replaced(tmp_path):
    folder = tmp_path / "deep" / "levels"
    first = {path.name: path.read_bytes() for path in dump_levels(compiled("mlp"), folder)}
    second = {path.name: path.read_bytes() for path in dump_levels(compiled("deep"), folder)}
    assert first.keys() == second.keys() and all(first[name] != second[name] for name in first)
    again = {path.name: path.read_bytes() for path in dump_levels(compiled("mlp"), folder)}
    assert again == first


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "levels").write_text("mine")
    with pytest.raises(spikec.UsageError, match=r"cannot make the folder .*levels: File exists"):
        dump_levels(compiled("mlp"), tmp_path / "levels")
    assert (tmp_path / "levels").read_text() == "mine"
