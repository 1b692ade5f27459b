"""Triton's interpreter has to be chosen before Triton is imported, so its tests run in a process of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = [Path(__file__).with_name(name) for name in ("triton_cases.py", "row_cases.py")]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, CASES)]
    found = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, cwd=CASES[0].parents[2]
    )
    assert found.returncode == 0, found.stdout[-5000:]
