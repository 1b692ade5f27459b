"""Triton's interpreter has to be chosen before Triton is imported, so its tests run in a process of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import helper

from spikec.runtime.layers.loop import Loop
from spikec.runtime.layers.triton_kernel import _loaded
from spikec.runtime.layers.triton_source import Layout, scan_source

CASES = [Path(__file__).with_name(name) for name in ("triton_cases.py", "row_cases.py")]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, CASES)]
    found = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, cwd=CASES[0].parents[2]
    )
    assert found.returncode == 0, found.stdout[-5000:]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("f", ["LayerNormalization", "Softmax", "LogSoftmax", "ReduceMax", "ReduceLogSumExp", "Tanh"])
def test_kernels_compile_for_a_gpu_that_is_not_there(f, wide):
    """The interpreter takes more than the compiler does."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    nodes = [
        helper.make_node("Add", ["x", "d"], ["x1"]),
        helper.make_node(f, ["x1", "w"] if f == "LayerNormalization" else ["x1"], ["f"]),
        helper.make_node("Sub", ["f", "v"], ["e"]),
        helper.make_node("Mul", ["e", "eta"], ["event"]),
        helper.make_node("Add", ["v", "event"], ["v1"]),
    ]
    loop = Loop(
        tuple(node.SerializeToString() for node in nodes), ("x", "v", "d", "eta", "w"), ("x1", "v1", "event", "x1"),
        (2, 2, 1), ((0, 1),), (1,), None if f == "Tanh" else -1,
    )  # fmt: skip
    function = _loaded(scan_source(loop, Layout(3, frozenset({3}), wide)))
    blocks = {"ROWS": 2, "COLS": 256, "BLOCK": 1024}
    lower = ("p_d", "q2", "q3")  # what is in bfloat16
    kinds = {name: "*bf16" if name in lower else "*fp32" for name in function.arg_names if name[:2] in ("p_", *lower)}
    kinds |= {name: "*fp32" for name in ("q0", "q1")}
    signature = {n: "constexpr" if n in blocks else kinds.get(n, "i64" if wide else "i32") for n in function.arg_names}
    constants = {(function.arg_names.index(n),): size for n, size in blocks.items() if n in signature}
    made = compile(ASTSource(function, signature, constants), target=GPUTarget("cuda", 90, 32))
    assert "st.global" in made.asm["ptx"]
