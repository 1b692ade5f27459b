"""What the gate measures and says when all is well, and when one thing is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from spikec.checking import Request, Thresholds, Where, run_check
from spikec.runtime import Session
from tests.compiler.checking.conftest import value_of
from tests.models import tiny

Gate = Callable[[str], Any]


def _trained(model: str, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)


def test_a_check_that_passes(gate: Gate) -> None:
    outcome = gate("mlp.onnx mlp.spk --data test.npz --steps 4,16")
    assert outcome.code == 0 and outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0].startswith("spikec check mlp.onnx mlp.spk --data test.npz") and lines[-1] == "PASSED"
    assert "built in (at the artifact's T = 16" in outcome.out
    report = outcome.report
    assert (report["status"], report["reason"], report["failures"], report["steps"]) == ("passed", "", [], [4, 16])
    data = dict(np.load("test.npz"))
    (expected,) = _trained("mlp.onnx", {"x": data["x"]})
    result = Session("mlp.spk").run(data["x"], [4, 16])
    for t in (4, 16):
        found = result.outputs[t]["y"]
        classes = found.argmax(axis=1)
        assert value_of(report, "agreement", "y", t)["value"] == np.mean(classes == expected.argmax(axis=1))
        assert value_of(report, "accuracy", "y", t)["value"] == np.mean(classes == data["labels"])
        distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert value_of(report, "relative_l2", "y", t)["value"] == pytest.approx(distance, rel=1e-5)
    assert value_of(report, "spike_rate")["value"] == result.rate
    assert value_of(report, "agreement", "y", 4)["verdict"] == "free"
    assert value_of(report, "agreement", "y", 16)["verdict"] == "passed"
    assert report["spikes"] == [
        {"name": name, "events": count.total, "slots": count.slots} for name, count in result.spikes.items()
    ]


def test_a_check_that_fails_on_exactly_one_threshold(gate: Gate) -> None:
    Path("t.toml").write_text("[defaults]\nmin_agreement = 0.5\nmin_cosine = 0.9\n[steps.16]\nmax_relative_l2 = 1e-6\n")
    outcome = gate("mlp.onnx mlp.spk --data test.npz --thresholds t.toml --steps 8,16")
    assert outcome.code == 1
    rows = [row for row in outcome.report["measurements"] if row["threshold"] is not None]
    assert [row["verdict"] for row in rows].count("failed") == 1 and len(rows) == 5
    failed = next(row for row in rows if row["verdict"] == "failed")
    assert (failed["metric"], failed["steps"], failed["origin"]) == ("relative_l2", 16, "steps.16")
    assert outcome.out.splitlines()[-1].startswith("FAILED: relative_l2 of 'y' after 16 steps is ")
    assert outcome.report["reason"] == outcome.report["failures"][0]


@pytest.mark.parametrize("metric", ["agreement", "relative_l2", "cosine", "max_abs_error", "accuracy", "spike_rate"])
def test_what_would_have_passed_passes_and_no_tighter(gate: Gate, metric: str) -> None:
    command = "mlp.onnx mlp.spk --data test.npz --steps 2"
    Path("t.toml").write_text("[defaults]\nmax_spike_rate = 1\n")
    row = value_of(gate(f"{command} --thresholds t.toml").report, metric)
    tighter = row["would_pass"] * (1 + 2e-5 if row["key"].startswith("min") else 1 - 2e-5)
    for threshold, code in ((row["would_pass"], 0), (tighter, 1)):
        Path("t.toml").write_text(f"[defaults]\n{row['key']} = {threshold!r}\n")
        assert gate(f"{command} --thresholds t.toml").code == code


def test_outputs_of_several_kinds(gate: Gate) -> None:
    Path("t.toml").write_text(
        "[defaults]\nmin_agreement = 0.8\nmin_top5_agreement = 0.9\n[outputs.amount]\nmin_r2 = 0.9\n"
        "[outputs.vector]\nkind = 'embedding'\nmin_rank_correlation = 0.8\n"
    )
    outcome = gate("heads.onnx heads.spk --data heads.npz --thresholds t.toml")
    assert outcome.code == 0, outcome.out
    metrics = {name: set() for name in ("scores", "amount", "vector")}
    for row in outcome.report["measurements"]:
        if row["value"] is not None and row["output"]:
            metrics[row["output"]].add(row["metric"])
    distance = {"relative_l2", "cosine", "max_abs_error"}
    assert metrics == {
        "scores": distance | {"agreement", "top5_agreement"},
        "amount": distance | {"r2"},
        "vector": distance | {"rank_correlation"},
    }
    skipped = {(row["output"], row["metric"]) for row in outcome.report["measurements"] if row["verdict"] == "skipped"}
    assert skipped == {(o, m) for o in ("amount", "vector") for m in ("agreement", "top5_agreement")}
    assert outcome.out.count("skipped: ") == 4, "nothing is left out in silence"


def test_spikes_are_asked_for_at_the_last_step_only(gate: Gate) -> None:
    Path("t.toml").write_text("[defaults]\nmax_spike_rate = 0.9\n")
    outcome = gate("mlp.onnx mlp.spk --data test.npz --thresholds t.toml --steps 4,8")
    rows = [row for row in outcome.report["measurements"] if row["metric"] == "spike_rate"]
    assert outcome.code == 0
    assert [(row["steps"], row["verdict"]) for row in rows] == [(8, "passed"), (4, "skipped")]
    assert "up to the last" in rows[1]["note"]


def test_built_in_thresholds_of_other_kinds(gate: Gate) -> None:
    outcome = gate("heads.onnx heads.spk --data heads.npz")
    asked = {row["output"]: row["key"] for row in outcome.report["measurements"] if row["threshold"] is not None}
    assert asked == {"scores": "min_agreement", "amount": "max_relative_l2", "vector": "min_agreement"}


@pytest.mark.parametrize(
    "options", ["--backend onnxruntime", "--precision float64", "--evaluation steps", "--batch-size 7"]
)
def test_other_engines_agree(gate: Gate, options: str) -> None:
    plain, other = gate("mlp.onnx mlp.spk --data test.npz"), gate(f"mlp.onnx mlp.spk --data test.npz {options}")
    assert (plain.code, other.code) == (0, 0)
    for name in ("agreement", "accuracy"):
        assert value_of(plain.report, name) == value_of(other.report, name)
    word = options.split()[1]
    assert word in {str(value) for value in other.report["requested"].values()}
    if word == "onnxruntime":
        assert other.report["actual"] == {"ann": "CPUExecutionProvider", "snn": "CPUExecutionProvider"}


def test_equal_checks_give_equal_reports(gate: Gate) -> None:
    first, second = (gate("mlp.onnx mlp.spk --data test.npz").report for _ in range(2))
    assert first.pop("timing") and second.pop("timing")
    assert first == second


def test_an_artifact_of_another_file_is_told(gate: Gate) -> None:
    content = Path("mlp.onnx").read_bytes()
    Path("again.onnx").write_bytes(content + b"\x3a\x00")  # an empty field of the graph: the same network
    outcome = gate("again.onnx mlp.spk --data test.npz")
    assert outcome.code == 0
    assert "other SHA-256" in outcome.err and "other SHA-256" in outcome.report["warnings"][0]


def test_disagreements_for_those_who_build_on_it(made: Path) -> None:
    thresholds = Thresholds()
    where = Where(made / "photos")
    result = run_check(Request(str(made / "pictures.onnx"), made / "pictures.spk", where, thresholds=thresholds))
    assert all(d.picture.shape == (3, 6, 6) for d in result.disagreements)
    rough = Request(str(made / "mlp.onnx"), made / "mlp.spk", Where(made / "test.npz"))
    rough = run_check(Request(rough.model, rough.artifact, rough.where, _steps(1), _lax()))
    data = dict(np.load(made / "test.npz"))
    expected = _trained(str(made / "mlp.onnx"), {"x": data["x"]})[0].argmax(axis=1)
    found = Session(made / "mlp.spk").run(data["x"], 1).final["y"].argmax(axis=1)
    differ = np.flatnonzero(expected != found)[:24]
    assert [d.sample for d in rough.disagreements] == differ.tolist() and len(differ) > 3
    assert [(d.ann, d.snn, d.label) for d in rough.disagreements] == [
        (expected[i], found[i], data["labels"][i]) for i in differ
    ]
    assert rough.disagreements[0].picture is None and "disagreements" not in json.dumps(rough.as_dict())


def _steps(count: int) -> Any:
    from spikec.checking import Settings

    return Settings(steps=(count,))


def _lax() -> Thresholds:
    from spikec.checking.thresholds import Line, Scope

    return Thresholds((Line(Scope(), "min_agreement", 0.0),), "lax.toml")


@pytest.mark.parametrize("form", ["unrolled", "step"])
def test_other_forms(gate: Gate, cli: Gate, form: str) -> None:
    assert cli(f"compile mlp.onnx -o other.spk -T 16 --form {form} --calibration test.npz").code == 0
    loop, other = (gate(f"mlp.onnx {name}.spk --data test.npz") for name in ("mlp", "other"))
    assert other.code == 0
    for metric in ("agreement", "accuracy"):
        assert value_of(loop.report, metric) == value_of(other.report, metric)


def test_a_fixed_batch_is_filled_up(gate: Gate, cli: Gate) -> None:
    """150 samples in batches of 8: the last two batches of all are filled up, and what fills them does not count."""
    tiny.save(tiny.build(tiny.MLP.replace("[N,", "[8,")), Path("eight.onnx"))
    assert cli("compile eight.onnx -o eight.spk -T 16 --calibration test.npz").code == 0
    outcome = gate("eight.onnx eight.spk --data test.npz --batch-size 5")
    assert outcome.code == 0 and outcome.report["data"]["samples"] == 150
    data = np.load("test.npz")
    found = Session("eight.spk").run(data["x"]).final["y"].argmax(axis=1)
    assert value_of(outcome.report, "accuracy")["value"] == np.mean(found == data["labels"])


def test_an_output_of_chosen_classes(gate: Gate, cli: Gate) -> None:
    graph = "pick (float[N, 6] x) => (int64[N, 1] best) { [first] a = Gemm(x, w1, b1) [act] h = Relu(a) "
    graph += "[last] z = Gemm(h, w2, b2) [pick] best = ArgMax<axis = 1>(z) }"
    tiny.save(tiny.build(graph), Path("pick.onnx"))
    assert cli("compile pick.onnx -o pick.spk -T 16 --calibration test.npz").code == 0
    outcome = gate("pick.onnx pick.spk --data test.npz")
    rows = {row["metric"]: row["value"] for row in outcome.report["measurements"]}
    scores = {row["metric"]: row["value"] for row in gate("mlp.onnx mlp.spk --data test.npz").report["measurements"]}
    assert outcome.code == 0 and set(rows) == {"agreement", "accuracy", "ann_accuracy", "accuracy_drop", "spike_rate"}
    assert rows["ann_accuracy"] == scores["ann_accuracy"]
