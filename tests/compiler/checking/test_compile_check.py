"""``spikec compile --check``: only what passes is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

COMPILE = "compile mlp.onnx -o out.onnx -T 8 --calibration test.npz --check test.npz --thresholds t.toml"


def _ask(agreement: float) -> None:
    Path("t.toml").write_text(f"[defaults]\nmin_agreement = {agreement}\n")


def test_what_passes_is_written(gate: object, cli: Callable[[str], Any]) -> None:
    _ask(0.5)
    outcome = cli(COMPILE)
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.startswith("out.onnx: 1 neuron nodes") and outcome.out.splitlines()[-1] == "PASSED"
    assert cli("check mlp.onnx out.onnx --data test.npz --thresholds t.toml").code == 0
    unchecked = COMPILE.partition(" --check")[0].replace("out.onnx", "plain.onnx")
    assert cli(unchecked).code == 0 and Path("plain.onnx").read_bytes() == Path("out.onnx").read_bytes()


def test_what_fails_is_not(gate: object, cli: Callable[[str], Any]) -> None:
    _ask(1.0)
    Path("out.onnx").write_text("older")
    outcome = cli(COMPILE.replace("-T 8", "-T 1"))
    assert outcome.code == 1 and outcome.out.startswith("not written: ")
    assert outcome.out.splitlines()[-1].startswith("FAILED: agreement of 'y' after 1 steps")
    assert Path("out.onnx").read_text() == "older" and not list(Path().glob("*.failed.onnx"))


def test_what_fails_may_be_kept_beside(gate: object, cli: Callable[[str], Any]) -> None:
    _ask(1.0)
    outcome = cli(f"{COMPILE.replace('-T 8', '-T 1')} --keep-failed --json")
    assert outcome.code == 1 and outcome.json["artifact"] == "out.failed.onnx"
    assert outcome.json["check"]["status"] == "failed" and outcome.json["check"]["artifact"]["name"] == "out.onnx"
    assert not Path("out.onnx").exists()
    onnx.checker.check_model("out.failed.onnx")
    assert cli("check mlp.onnx out.failed.onnx --data test.npz --thresholds t.toml").code == 1


def test_without_thresholds_what_is_built_in_counts(gate: object, cli: Callable[[str], Any]) -> None:
    outcome = cli("compile mlp.onnx -o out.onnx -T 1 --calibration test.npz --check test.npz")
    assert outcome.code == 1 and "(built in)" in outcome.out and not Path("out.onnx").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--thresholds t.toml", "--check DATA"),
        ("--keep-failed", "--check DATA"),
        ("--check gone.npz", "no file gone.npz"),
        ("--check heads.onnx", "not an .npz file"),
        ("--check test.npz --thresholds gone.toml", "gone.toml"),
        ("--check out.onnx", "out.onnx"),
    ],
)
def test_options_that_do_not_fit(gate: object, refused: Callable[..., None], options: str, words: str) -> None:
    refused(f"compile mlp.onnx -o out.onnx -T 4 --calibration test.npz {options}", 2, words)
