"""Several processes find what one finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikec.checking.parallel import World, joined, world_of_environment
from spikec.errors import EnvironmentMissing, InternalError
from tests.models import tiny

CHECK = ["-m", "spikec", "check", "mlp.onnx", "mlp.spk", "--data", "test.npz", "--steps", "4,16", "--batch-size", "16"]
REPORTS = ["--json", "r.json", "--junit", "r.xml"]


def _run(arguments: list[str], processes: int) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, *launcher, *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)


def _report() -> dict[str, object]:
    report = json.loads(Path("r.json").read_text())
    Path("r.json").unlink()
    return report


@pytest.mark.slow
def test_two_processes_give_the_report_of_one(gate: object) -> None:
    alone = _run([*CHECK, *REPORTS], 1)
    assert alone.returncode == 0, alone.stderr
    single = _report()
    together = _run([*CHECK, *REPORTS], 2)
    assert together.returncode == 0, together.stderr
    double = _report()
    assert (single.pop("timing")["processes"], double.pop("timing")["processes"]) == (1, 2)
    assert double == single and single["data"]["samples"] == 150
    assert together.stdout == alone.stdout, "one process prints"


@pytest.mark.slow
def test_an_error_of_one_process_ends_all(gate: object) -> None:
    data = tiny.samples(60)
    data["x"][20] = np.nan  # in the batch of the second process
    np.savez("test.npz", **data)
    done = _run([*CHECK, *REPORTS], 2)
    report = _report()
    assert done.returncode != 0 and (report["status"], report["exit_code"]) == ("error", 2)
    assert "'x' holds 6 values that are NaN" in report["reason"]
    assert done.stderr.count("spikec: error: ") == 1, "one process speaks"
    assert "(exitcode: 2)" in done.stderr, "torchrun says it of the processes; itself it ends with 1"


def test_batches_are_shared_out() -> None:
    worlds = [World(rank, 3) for rank in range(3)]
    assert [[world.takes(batch) for world in worlds].index(True) for batch in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert [world.speaks for world in worlds] == [True, False, False]


def test_the_environment_says_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert world_of_environment() == World()
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert world_of_environment() == World(1, 4, 1)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(EnvironmentMissing, match="torchrun"):
        world_of_environment()


def test_processes_that_cannot_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(EnvironmentMissing, match="cannot be joined"), joined(World(0, 2), "cpu"):
        pass


def test_gathering_raises_what_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    assert World().gather(lambda: 3) == [3]
    with pytest.raises(ZeroDivisionError):
        World().gather(lambda: 1 // 0)
    # in company the error travels: it becomes one that any process can read
    monkeypatch.setattr(World, "_exchange", lambda self, mine: [("theirs", None), mine])
    with pytest.raises(InternalError, match="ZeroDivisionError"):
        World(1, 2).gather(lambda: 1 // 0)
