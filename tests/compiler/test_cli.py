"""What the commands do when all is well."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import spikec
from tests.models import tiny
from tests.models.networks import network

Cli = Callable[[str], Any]
FORMS, BACKENDS = ("loop", "unrolled", "step"), ("torch", "onnxruntime")


def _outputs(model: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {name: array for name, array in feeds.items() if name != "labels"})[0]


def test_version(cli: Cli) -> None:
    outcome = cli("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"spikec {spikec.__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("--help", ["compile", "inspect", "Exit codes"]),
        ("plan --help", ["--granularity", "--json"]),
        ("compile --help", ["--calibration", "--schedule", "--dump"]),
        ("run --help", ["--backend", "--batch-size"]),
        ("check --help", ["--thresholds", "--junit", "--allow-loosen"]),
        ("inspect -h", ["artifact"]),
    ],
)
def test_help(cli: Cli, command: str, words: list[str]) -> None:
    outcome = cli(command)
    assert outcome.code == 0 and outcome.err == ""
    assert all(word in outcome.out for word in words)


def test_no_command_shows_the_help(cli: Cli) -> None:
    outcome = cli("")
    assert outcome.code == 2 and outcome.err == ""
    assert "Usage" in outcome.out and "compile" in outcome.out


def test_plan(cli: Cli) -> None:
    outcome = cli("plan cnn.onnx")
    assert outcome.code == 0 and outcome.err == ""
    assert all(name in outcome.out for name in ("conv", "act", "pool", "flat", "head", "AveragePool", "Relu"))
    assert "1 neuron" in outcome.out and "144 neurons per sample" in outcome.out
    assert "state memory per sample: 0.6 KiB" in outcome.out, "588 bytes: the neurons' values and the 3 scores"


def test_plan_as_json(cli: Cli) -> None:
    plan = cli("plan cnn.onnx --json").json
    assert plan["convertible"] and plan["source"] == "cnn.onnx"
    assert {node["name"]: node["fate"] for node in plan["nodes"]} == {
        "conv": "linear", "act": "neuron", "pool": "linear", "flat": "linear", "head": "linear",
    }  # fmt: skip
    sizes = {"per_sample": 4 * 6 * 6, "state_bytes": 4 * 4 * 6 * 6}
    assert plan["neurons"] == [{"name": "act", "function": "Relu", "kind": "unary", **sizes}]


def test_plan_says_how_pooling_becomes_strict(cli: Cli) -> None:
    tiny.save(tiny.build(tiny.CNN.replace("AveragePool", "MaxPool")), Path("pool.onnx"))
    fates = {node["name"]: node["detail"] for node in cli("plan pool.onnx --granularity strict --json").json["nodes"]}
    assert "opened into 2 neurons" in fates["pool"]


def test_compile(cli: Cli) -> None:
    outcome = cli("compile cnn.onnx -o out.onnx -T 8 --calibration images.npz")
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.startswith("out.onnx: 1 neuron nodes, T = 8, form loop")
    onnx.checker.check_model("out.onnx", full_check=True)


def test_compile_as_json(cli: Cli) -> None:
    summary = cli("compile cnn.onnx -o out.onnx -T 8 --form step --calibration images.npz --json").json
    assert summary["artifact"] == "out.onnx" and summary["bytes"] == Path("out.onnx").stat().st_size
    assert (summary["form"], summary["steps"], summary["neuron_nodes"]) == ("step", 8, 1)
    assert summary["saturating"] == [] and summary["warnings"] == []
    assert summary["largest_distance_levels_1_to_3"] < 1e-4


def test_compilation_without_data_warns(cli: Cli) -> None:
    outcome = cli("compile mlp.onnx -o out.onnx -T 4 --json")
    assert outcome.code == 0 and outcome.err.startswith("spikec: warning: no calibration data")
    assert outcome.json["warnings"][0] in outcome.err


def test_equal_inputs_give_equal_artifacts(cli: Cli) -> None:
    for name in ("first", "second"):
        assert cli(f"compile cnn.onnx -o {name}.onnx -T 4 --seed 3").code == 0
    assert Path("first.onnx").read_bytes() == Path("second.onnx").read_bytes()
    assert cli("compile cnn.onnx -o third.onnx -T 4 --seed 4").code == 0
    assert Path("first.onnx").read_bytes() != Path("third.onnx").read_bytes()


def test_dump_writes_every_level(cli: Cli) -> None:
    assert cli("compile cnn.onnx -o out.onnx -T 4 --calibration images.npz --dump sub/levels").code == 0
    names = ["0_source", "1_canonical", "2_primitive", "3_neurons", "4_init", "4_readout", "4_step", "5_artifact"]
    assert sorted(path.stem for path in Path("sub/levels").iterdir()) == names
    for name in names:
        onnxruntime.InferenceSession(f"sub/levels/{name}.onnx", providers=["CPUExecutionProvider"])
    assert Path("sub/levels/5_artifact.onnx").read_bytes() == Path("out.onnx").read_bytes()
    source = _outputs("cnn.onnx", tiny.images())
    for name in names[:4]:  # levels 0 to 3 compute the same
        np.testing.assert_allclose(_outputs(f"sub/levels/{name}.onnx", tiny.images()), source, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "data"), [("mlp", "samples"), ("cnn", "images")])
def test_every_form_and_backend_gives_the_same(cli: Cli, model: str, data: str) -> None:
    classes, counts = {}, {}
    for form in FORMS:
        assert cli(f"compile {model}.onnx -o {form}.spk -T 16 --form {form} --calibration {data}.npz").code == 0
        for backend in BACKENDS:
            summary = cli(f"run {form}.spk -i {data}.npz -o out.npz --backend {backend} --batch-size 3 --json").json
            classes[form, backend] = np.load("out.npz")[next(iter(summary["outputs"]))].argmax(axis=1).tolist()
            counts[form, backend] = {name: row["spikes"] for name, row in summary["neurons"].items()}
    assert len({str(value) for value in classes.values()}) == 1, classes
    assert len({str(value) for value in counts.values()}) == 1, counts
    # and they are those of the network that was compiled
    original = _outputs(f"{model}.onnx", dict(np.load(f"{data}.npz"))).argmax(axis=1)
    assert np.mean(original == classes["loop", "torch"]) >= 0.75


def test_run_prints_accuracy_where_there_are_labels(cli: Cli) -> None:
    outcome = cli("run artifact.onnx -i samples.npz --steps 1,2,4")
    assert outcome.code == 0 and outcome.err == ""
    assert "accuracy" in outcome.out and outcome.out.count(" %") == 3
    summary = cli("run artifact.onnx -i samples.npz --steps 1,2,4 -o out.npz --json").json
    scores = np.load("out.npz")
    expected = {str(t): float(np.mean(scores[f"y@{t}"].argmax(axis=1) == tiny.samples()["labels"])) for t in (1, 2, 4)}
    assert summary["accuracy"] == expected


def test_run_without_labels(cli: Cli) -> None:
    np.savez("bare.npz", x=tiny.samples()["x"])
    assert "accuracy" not in cli("run artifact.onnx -i bare.npz").out
    summary = cli("run artifact.onnx -i bare.npz --json").json
    assert summary["accuracy"] is None and summary["samples"] == 8 and summary["outputs"] == {"y": [8, 3]}
    assert 0 <= summary["spike_rate"] <= 1 and set(summary["neurons"]) == {"act"}


@pytest.mark.parametrize("rule", ["stability:2", "margin:0.5", "certified"])
def test_run_until_a_rule_says_stop(cli: Cli, rule: str) -> None:
    outcome = cli(f"run artifact.onnx -i samples.npz --until {rule}")
    assert outcome.code == 0 and outcome.err == ""
    assert f"Until {rule}" in outcome.out and "steps on average, accuracy" in outcome.out
    summary = cli(f"run artifact.onnx -i samples.npz --until {rule} --steps 3 -o out.npz --json").json
    count = summary["samples"]
    with np.load("out.npz") as found:
        steps, scores = found["@steps"], found["y"]
    with np.load("samples.npz") as data:
        assert summary["accuracy"] == np.mean(scores.argmax(1) == data["labels"])
    assert summary["until"] == rule and summary["outputs"] == {"y": list(scores.shape)}
    assert summary["steps"] == {
        "mean": steps.mean(), "limit": 3, "samples": {str(t): int((steps == t).sum()) for t in sorted(set(steps))},
    }  # fmt: skip
    assert sum(summary["steps"]["samples"].values()) == count == len(steps)


def test_run_until_nothing_known(cli: Cli) -> None:
    assert cli("run artifact.onnx -i samples.npz --until bored").code == 2
    assert "stability:STEPS" in cli("run artifact.onnx -i samples.npz --until bored").err
    assert "give the one number" in cli("run artifact.onnx -i samples.npz --until certified --steps 1,2").err


def test_run_writes_every_asked_step(cli: Cli) -> None:
    assert cli("run artifact.onnx -i samples.npz --steps 4,2 -o out.npz").code == 0
    with np.load("out.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["y", "y@2", "y@4"]
        assert arrays["y"].shape == (8, 3) and arrays["y"].dtype == np.float32
        np.testing.assert_array_equal(arrays["y"], arrays["y@4"])
        assert not np.array_equal(arrays["y@2"], arrays["y@4"])


def test_outputs_may_bear_any_name(cli: Cli) -> None:
    """numpy.savez has arguments called file and allow_pickle."""
    tiny.save(tiny.build(tiny.MLP.replace(" y", " file")), Path("model.onnx"))
    assert cli("compile model.onnx -o out.onnx -T 2").code == 0
    assert cli("run out.onnx -i samples.npz -o out.npz").code == 0
    assert sorted(np.load("out.npz").files) == ["file", "file@2"]


def test_names_with_brackets_are_shown_as_they_are(cli: Cli) -> None:
    model = tiny.mlp()
    model.graph.node[1].name = "[red]layer[/0]"
    tiny.save(model, Path("model.onnx"))
    assert cli("compile model.onnx -o out.onnx -T 2").code == 0
    for command in ("plan model.onnx", "inspect out.onnx", "run out.onnx -i samples.npz"):
        assert "[red]layer[/0]" in cli(command).out


READOUTS = {
    "ArgMax": "=> (int64[N, 1] y) {{ {} [pick] y = ArgMax<axis = 1>(z) }}",
    "ArgMax without axis": "=> (int64[N] y) {{ {} [pick] y = ArgMax<axis = 1, keepdims = 0>(z) }}",
    "TopK": "=> (float[N, 2] y, int64[N, 2] i) {{ {} [pick] y, i = TopK(z, two) }}",
    "Softmax": "=> (float[N, 3] y) {{ {} [pick] y = Softmax(z) }}",
}


@pytest.mark.parametrize("operator", READOUTS)
def test_selections_at_the_end_are_read_out(cli: Cli, operator: str) -> None:
    body = "[first] a = Gemm(x, w1, b1) [act] h = Relu(a) [last] z = Gemm(h, w2, b2)"
    graph = f"network (float[N, 6] x) {READOUTS[operator].format(body)}"
    tiny.save(tiny.build(graph, extra={"two": np.array([2])}), Path("model.onnx"))
    fates = {node["name"]: node["fate"] for node in cli("plan model.onnx --json").json["nodes"]}
    assert fates["pick"] == "readout"
    assert cli("compile model.onnx -o out.onnx -T 4 --calibration samples.npz").code == 0
    plain = cli("run artifact.onnx -i samples.npz --json").json["accuracy"]
    assert cli("run out.onnx -i samples.npz --json").json["accuracy"] == plain


def test_inspect(cli: Cli) -> None:
    outcome = cli("inspect artifact.onnx")
    assert outcome.code == 0 and outcome.err == ""
    for words in (
        "time steps",
        "signgd",
        "mlp.onnx",
        "8 samples of samples.npz",
        "x -> y",
        "act",
        "Relu",
        "0 of 1 neuron",
    ):
        assert words in outcome.out


def test_inspect_as_json(cli: Cli) -> None:
    manifest = cli("inspect artifact.onnx --json").json
    assert (manifest["form"], manifest["steps"], manifest["inputs"], manifest["outputs"]) == ("loop", 4, ["x"], ["y"])
    assert manifest["calibration"] == {"origin": "samples.npz", "samples": 8}
    assert [row["name"] for row in manifest["neurons"]] == ["act"]


@pytest.mark.parametrize("options", ["--coding float", "--coding spike", "--preset paper", "--dynamics subgradient"])
def test_other_ways_to_compile_run_and_are_inspected(cli: Cli, options: str) -> None:
    assert cli(f"compile cnn.onnx -o out.onnx -T 8 --calibration images.npz {options}").code == 0
    manifest = cli("inspect out.onnx --json").json
    assert cli("inspect out.onnx").code == 0
    summary = cli("run out.onnx -i images.npz --json").json
    assert set(summary["neurons"]) == {row["name"] for row in manifest["neurons"]}
    bounds = {row["name"]: row["reach"] for row in manifest["neurons"] if row["coding"] == "float"}
    # graded events have no bound, which JSON can only say with null
    assert bounds == ({"image/encoder": None} if options in ("--coding float", "--preset paper") else {})


def test_an_affine_readout(cli: Cli) -> None:
    case = network("deep")
    tiny.save(case.model, Path("deep.onnx"))
    np.savez("many.npz", **case.feeds(200))
    made = {
        name: cli(f"compile deep.onnx -o {name}.onnx -T 2 --calibration many.npz --readout {name}")
        for name in ("plain", "affine")
    }
    assert [outcome.code for outcome in made.values()] == [0, 0]
    test = case.feeds(200, seed=5)
    ann = _outputs("deep.onnx", test)
    distances = {name: np.linalg.norm(_outputs(f"{name}.onnx", test) - ann) for name in made}
    assert distances["affine"] < 0.9 * distances["plain"]
    shown = {name: cli(f"inspect {name}.onnx").out for name in made}
    assert "affine readout" in shown["affine"] and "affine readout" not in shown["plain"]
    (row,) = cli("inspect affine.onnx --json").json["readout"]["corrections"]
    assert row["tensor"] == "y" and 0.25 <= row["scale"][0] < row["scale"][1] <= 4


def test_an_affine_readout_without_a_fit_is_refused(refused: Callable[..., None]) -> None:
    command = "compile mlp.onnx -o out.onnx --calibration samples.npz --readout affine"
    refused(f"{command} --range-rule max", 2, "affine readout", "--range-rule fit", "--readout plain")
    refused(f"{command} --preset paper", 2, "affine readout", "--range-rule fit", "--readout plain")


def test_what_a_factory_prints_goes_to_stderr(cli: Cli, folder: Path) -> None:
    (folder / "chatty.py").write_text(
        "import onnx\nprint('importing')\n\n\ndef make():\n    print('reading')\n    return onnx.load('mlp.onnx')\n"
    )
    outcome = cli("compile chatty:make -o out.onnx -T 2 --calibration samples.npz --json")
    assert outcome.code == 0 and outcome.json["steps"] == 2
    assert outcome.err == "importing\nreading\n"
