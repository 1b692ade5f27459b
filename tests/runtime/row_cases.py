"""Scans over whole rows in Triton's interpreter: ``test_triton.py`` runs them in a process of their own."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from onnx import helper

from spikec.runtime.counting import Counter
from spikec.runtime.layers import Layerwise, kernels
from spikec.runtime.layers.loop import Loop
from spikec.runtime.layers.plan import Fold, Scan
from spikec.runtime.layers.planner import plan_layers
from spikec.runtime.layers.triton_kernel import triton_scan
from spikec.runtime.layers.triton_rows import REDUCTIONS, WHOLE
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS
from tests.models.networks import network
from tests.runtime.engines import parts_of
from tests.runtime.triton_cases import both

__all__ = ["both"]
NETWORKS = [
    ("layer norm", {}),
    ("layer norm", {"dead_zone": 0.0}),
    ("attention", {}),
    ("attention", {"coding": "float"}),
    ("a bias between neurons", {"range_rule": "max", "range_per": "channel"}),
    ("residual", {}),
    ("gated linear unit", {}),
    ("square and product", {}),
    ("neuron fed by a neuron", {}),
    ("two inputs", {}),
]


@pytest.fixture
def fused(monkeypatch):
    """The CPU takes what CUDA would: whole rows and sums inside of scans, all as Triton kernels."""
    monkeypatch.setattr("spikec.runtime.layers.stages.in_triton", lambda dtype, device: True)
    monkeypatch.setattr("spikec.runtime.layers.kernels.in_triton", lambda dtype, device: True)
    kernels.kernel_of.cache_clear()
    yield
    kernels.kernel_of.cache_clear()


def evaluated(name, precision, compiled, steps=(STEPS,), budget=None, counter=None, **options):
    parts, feeds = parts_of(name, **options), network(name).feeds(4)
    program = Layerwise(parts, TorchBackend(parts, "cpu", precision), compiled=compiled)
    if budget:
        program.budget = 2 * budget * program._step_bytes(feeds)
    return program.run(feeds, list(steps), counter, 4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_fused_scans_of_small_networks(name, options, precision, fused, both):
    expected = evaluated(name, precision, False, **options)
    both.clear()
    found = evaluated(name, precision, True, **options)
    assert STEPS in both
    for output, value in expected[STEPS].items():
        np.testing.assert_allclose(found[STEPS][output], value, rtol=1e-4, atol=1e-5)
