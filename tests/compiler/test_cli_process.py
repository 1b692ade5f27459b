"""The command as the shell starts it: real exit codes, and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# command line -> exit code, what stderr names
FAILURES = {
    "--wrong": (2, "--wrong"),
    "plan gone.onnx": (2, "gone.onnx"),
    "compile mlp.onnx -o out.onnx --steps abc": (2, "--steps"),
    "inspect samples.npz": (3, "samples.npz"),
    "run artifact.onnx -i samples.npz --device cuda": (5, "CUDA"),
}


def _spikec(command: str) -> subprocess.CompletedProcess[str]:
    # no GPU for this process, whatever the machine has
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-m", "spikec", *command.split()]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", FAILURES)
def test_failures(folder: Path, command: str) -> None:
    code, words = FAILURES[command]
    done = _spikec(f"{command} --json")
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("spikec: error: ") and done.stderr.count("\n") == 1 and words in done.stderr
    assert json.loads(done.stdout)["error"]["exit_code"] == code


def test_a_compilation(folder: Path) -> None:
    done = _spikec("compile mlp.onnx -o out.onnx -T 4 --calibration samples.npz")
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "out.onnx").read_bytes() == (folder / "artifact.onnx").read_bytes()


def test_no_arguments_show_the_help() -> None:
    done = _spikec("")
    assert done.returncode == 2
    assert "compile" in done.stdout and "inspect" in done.stdout


def test_the_reader_of_a_pipe_may_leave(folder: Path) -> None:
    words = f"{sys.executable} -m spikec inspect artifact.onnx --json | head -c 1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("{", "")
