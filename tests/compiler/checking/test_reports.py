"""The reports as other programs read them."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import Failure, JUnitXml, Skipped

from spikec.checking.junit import junit
from spikec.checking.markdown import markdown
from spikec.checking.result import CheckResult, Data, File
from spikec.checking.verdict import Measurement

SCHEMA = json.loads(files("spikec.checking").joinpath("schema.json").read_text())
THRESHOLDS = (
    "[defaults]\nmin_agreement = 0.8\nmax_relative_l2 = 1e-9\nmax_spike_rate = 1\n[outputs.amount]\nmin_r2 = 0.5\n"
)


def _result(**changes: Any) -> CheckResult:
    row = Measurement("y", 8, "classes", "agreement", 0.5, "min_agreement", 0.9, "defaults", "failed", 0.5)
    files = {"model": File("m.onnx"), "artifact": File("a.onnx")}
    bare = CheckResult(
        "failed", "bad", 1, "spikec check", **files, data=Data("d.npz"), requested={}, measurements=(row,)
    )
    return replace(bare, **changes)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("mlp.onnx mlp.spk --data test.npz", "passed"),
        ("heads.onnx heads.spk --data heads.npz --thresholds t.toml --steps 8,16", "failed"),
        ("mlp.onnx mlp.spk --data gone.npz --thresholds gone.toml", "error"),
        ("pictures.onnx pictures.spk --data photos --batch-size 5", None),
    ],
)
def test_json_keeps_to_the_schema(gate: Callable[[str], Any], arguments: str, status: str | None) -> None:
    Path("t.toml").write_text(THRESHOLDS)
    report = gate(arguments).report
    jsonschema.validate(report, SCHEMA)
    assert status in (None, report["status"])
    for fault in ({"status": "fine"}, {"extra": 1}, {"exit_code": None}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**report, **fault}, SCHEMA)


def test_json_names_the_very_files(gate: Callable[[str], Any]) -> None:
    import hashlib

    report = gate("mlp.onnx mlp.spk --data test.npz").report
    for what in ("model", "artifact"):
        assert report[what]["sha256"] == hashlib.sha256(Path(report[what]["name"]).read_bytes()).hexdigest()
    assert {"spikec", "python", "torch", "onnxruntime"} <= set(report["tools"]) and report["seed"] == 0
    assert report["timing"]["processes"] == 1 and report["timing"]["seconds"] >= report["timing"]["snn_seconds"] > 0


def test_junit_has_a_case_for_each_measurement(gate: Callable[[str], Any]) -> None:
    Path("t.toml").write_text(THRESHOLDS)
    outcome = gate("heads.onnx heads.spk --data heads.npz --thresholds t.toml --steps 8,16")
    (suite,) = JUnitXml.fromstring(outcome.written[".xml"].encode())
    rows = outcome.report["measurements"]
    names = [
        (f"heads.onnx.{row['output']}" if row["output"] else "heads.onnx", f"{row['metric']} at T = {row['steps']}")
        for row in rows
    ]
    assert [(case.classname, case.name) for case in suite] == names and len(set(names)) == len(names)
    kinds = {"failed": [Failure], "skipped": [Skipped], "passed": [], "free": []}
    assert [[type(r) for r in case.result] for case in suite] == [kinds[row["verdict"]] for row in rows]
    assert (suite.tests, suite.failures, suite.errors) == (len(rows), len(outcome.report["failures"]), 0)
    assert suite.skipped == sum(row["verdict"] == "skipped" for row in rows) > 0


def test_names_that_xml_and_markdown_cannot_hold() -> None:
    odd = 'a\x00<b>|&"\ud800'
    result = _result(model=File(odd), measurements=(replace(_result().measurements[0], output=odd),))
    (case,) = next(iter(JUnitXml.fromstring(junit(result).encode())))
    assert case.classname == 'a?<b>|&"?.a?<b>|&"?'
    table = markdown(result)
    assert "<b>" not in table and "\\|&" in table


def test_markdown_is_a_table(gate: Callable[[str], Any]) -> None:
    outcome = gate("mlp.onnx mlp.spk --data test.npz --steps 4,16")
    lines = [line for line in outcome.written[".md"].splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {8} and len(lines) == 2 + len(outcome.report["measurements"])
    assert outcome.written[".md"].startswith("# spikec check: passed\n")
    assert any("min_agreement = 0.99 (built in)" in line and line.endswith("| passed |") for line in lines)


def test_a_line_of_markdown_stays_one_line() -> None:
    text = markdown(_result(reason="one\ntwo | three", warnings=("first\nsecond",)))
    assert "**one two \\| three**" in text and "- first second" in text
