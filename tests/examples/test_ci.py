"""The examples for CI: the files are what the tools read, and their commands do what they are for."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from junitparser import JUnitXml

from spikec.checking.thresholds import read_thresholds
from spikec.cli.main import execute
from tests.models import tiny

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"
WORKFLOW = yaml.safe_load((EXAMPLES / "github-workflow.yml").read_text())
HOOKS = yaml.safe_load((EXAMPLES / ".pre-commit-config.yaml").read_text())
STEPS = WORKFLOW["jobs"]["check"]["steps"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples take for granted: model.onnx, calibration.npz, test.npz, spikec.toml."""
    monkeypatch.chdir(tmp_path)
    tiny.save(tiny.mlp(), Path("model.onnx"))
    np.savez("calibration.npz", x=tiny.samples(100)["x"])
    np.savez("test.npz", **tiny.samples(100, seed=1))
    shutil.copy(EXAMPLES / "spikec.toml", "spikec.toml")
    return tmp_path


def _commands() -> list[list[str]]:
    """The command lines of the workflow that start spikec."""
    return [shlex.split(step["run"])[1:] for step in STEPS if step.get("run", "").startswith("spikec ")]


def test_the_workflow_opens_the_gate_for_a_good_artifact(repository: Path) -> None:
    convert, check = _commands()
    assert execute(convert) == 0
    assert execute(check) == 0
    assert sum(len(suite) for suite in JUnitXml.fromfile("check.xml")) > 10
    assert Path("check.md").read_text().startswith("# spikec check: passed") and Path("check.json").exists()


def test_and_closes_it_for_a_bad_one(repository: Path) -> None:
    convert, check = _commands()
    assert execute([*convert[:3], "snn.onnx", *convert[4:], "--range-rule", "percentile:30"]) == 0
    assert execute(check) == 1
    assert Path("check.md").read_text().startswith("# spikec check: failed")


def test_the_workflow_keeps_reports_of_failures_and_hands_over_nothing_else() -> None:
    after = STEPS[[step.get("name") for step in STEPS].index("Check") + 1 :]
    assert [step.get("if") for step in after] == ["always()", "always()", None]
    assert after[-1]["with"]["path"] == "snn.onnx"
    assert WORKFLOW[True]["pull_request"], "YAML 1.1 reads the key 'on' as true"


def test_the_hook_runs_where_its_files_change(repository: Path) -> None:
    (hook,) = HOOKS["repos"][0]["hooks"]
    assert HOOKS["repos"][0]["repo"] == "local" and hook["pass_filenames"] is False
    changed = [
        name for name in ("a/model.onnx", "test.npz", "spikec.toml", "readme.md") if re.search(hook["files"], name)
    ]
    assert changed == ["a/model.onnx", "test.npz", "spikec.toml"]
    assert execute(_commands()[0]) == 0
    assert execute(shlex.split(hook["entry"])[1:]) == 0
    Path("spikec.toml").write_text("[defaults]\nmax_relative_l2 = 1e-9\n")
    assert execute(shlex.split(hook["entry"])[1:]) == 1


def test_the_thresholds_are_read() -> None:
    lines = read_thresholds(EXAMPLES / "spikec.toml").lines
    assert {str(line.scope) for line in lines} == {"defaults", "steps.8"} and len(lines) == 5


@pytest.mark.parametrize("name", ["github-workflow.yml", ".pre-commit-config.yaml", "spikec.toml"])
def test_the_documentation_names_the_files(name: str) -> None:
    assert f"examples/ci/{name}" in (EXAMPLES.parents[1] / "docs" / "ci.md").read_text()
