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
from spikec.runtime.layers.scan import Scanner
from spikec.runtime.layers.triton_kernel import triton_scan
from spikec.runtime.layers.triton_rows import REDUCTIONS, WHOLE
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS
from tests.models.networks import TEXTS, network
from tests.runtime.engines import parts_of
from tests.runtime.triton_cases import both, spikes_as_on_cuda

__all__ = ["both"]
NETWORKS = [
    ("layer norm", {}),
    ("layer norm", {"dead_zone": 0.0}),
    ("attention", {}),
    ("attention", {"coding": "float"}),
    ("a bias between neurons", {"range_rule": "max", "range_per": "channel"}),
    ("residuals", {}),
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
    spikes_as_on_cuda(monkeypatch)
    kernels.kernel_of.cache_clear()
    yield
    kernels.kernel_of.cache_clear()


@pytest.fixture
def rows(monkeypatch):
    """The axes of the rows of all scans, in order of their calls; None where they are elementwise."""
    seen, call = [], Scanner.__call__
    monkeypatch.setattr(Scanner, "__call__", lambda self, *args: seen.append(self.scan.row) or call(self, *args))
    return seen


def evaluated(name, precision, compiled, steps=(STEPS,), budget=None, counter=None, **options):
    parts, feeds = parts_of(name, **options), network(name).feeds(4)
    program = Layerwise(parts, TorchBackend(parts, "cpu", precision), compiled=compiled)
    if budget:
        program.budget = 2 * budget * program._step_bytes(feeds)
    return program.run(feeds, list(steps), counter, 4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_fused_scans_of_small_networks(name, options, precision, fused, both, rows):
    expected = evaluated(name, precision, False, **options)
    both.clear()
    found = evaluated(name, precision, True, **options)
    assert STEPS in both
    if name in ("attention", "residuals", "a bias between neurons"):
        assert -1 in rows, "the row was not taken as one"
    for output, value in expected[STEPS].items():
        np.testing.assert_allclose(found[STEPS][output], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_small_network_fused(name, fused):
    expected, found = (evaluated(name, "float32", compiled) for compiled in (False, True))
    for output, value in expected[STEPS].items():
        np.testing.assert_allclose(found[STEPS][output], value, rtol=1e-4, atol=1e-5)


def test_a_network_over_several_stretches_that_counts(fused, both):
    """States go from one stretch to the next in whatever order the kernels left them."""
    plain, found = (Counter(parts_of("attention").manifest.neurons) for _ in range(2))
    expected = evaluated("attention", "float32", False, (3, STEPS), counter=plain)
    both.clear()
    outputs = evaluated("attention", "float32", True, (3, STEPS), budget=3, counter=found)
    assert max(both) == 3
    for t, values in expected.items():
        np.testing.assert_allclose(outputs[t]["y"], values["y"], rtol=1e-4, atol=1e-5)
    assert {n: c.total for n, c in found.counts().items()} == {n: c.total for n, c in plain.counts().items()}


@pytest.mark.parametrize(("name", "precision"), [("attention", "float32"), ("layer norm", "bfloat16")])
def test_rows_too_long_for_registers_go_stage_by_stage(name, precision, fused, both, rows, monkeypatch):
    expected = evaluated(name, precision, False)
    monkeypatch.setattr("spikec.runtime.layers.rows.MOST_COLUMNS", 2)
    found = evaluated(name, precision, True)
    np.testing.assert_allclose(found[STEPS]["y"], expected[STEPS]["y"], rtol=1e-4, atol=1e-5)
    assert set(rows) == {None}


def neuron(operator):
    """Nodes of x += d; y = f(x) w + b; v += sign(y - v) a, f made of the operator."""
    whole = operator in WHOLE
    if operator in ("LayerNormalization", "RMSNormalization"):
        inputs = ["x1", "w", "b"] if operator == "LayerNormalization" else ["x1", "w"]
        f = [helper.make_node(operator, inputs, ["f"], axis=-1, epsilon=1e-3)]
    elif whole:
        f = [helper.make_node(operator, ["x1"], ["f"], axis=-1)]
    else:
        f = [
            helper.make_node("Mul", ["x1", "x1"], ["square"]),
            helper.make_node("Constant", [], ["axes"], value_ints=[-1]),
            helper.make_node(operator, ["square", "axes"], ["reduced"], keepdims=1),
            helper.make_node("Sub", ["x1", "reduced"], ["f"]),
        ]
    return [
        helper.make_node("Add", ["x", "d"], ["x1"]),
        *f,
        helper.make_node("Mul", ["f", "w"], ["scaled"]),
        helper.make_node("Add", ["scaled", "b"], ["y"]),
        helper.make_node("Sub", ["y", "v"], ["e"]),
        helper.make_node("Mul", ["e", "a"], ["event"]),
        helper.make_node("Add", ["v", "event"], ["v1"]),
    ]


def strided(draw, shape, seed):
    """Random numbers of the shape whose axes lie in memory in any order."""
    order = draw(st.permutations(range(len(shape))))
    tensor = torch.from_numpy(np.random.default_rng(seed).normal(size=[shape[axis] for axis in order]))
    return tensor.float().permute(np.argsort(order).tolist())


@pytest.mark.parametrize("rounded", [(), ((0, 1),)])
@pytest.mark.parametrize("operator", sorted([*REDUCTIONS, *WHOLE]))
@settings(max_examples=8, deadline=None)
@given(outer=st.lists(st.integers(1, 5), max_size=3), columns=st.integers(1, 70), data=st.data())
def test_any_rows_are_what_the_operators_make_of_them(operator, rounded, outer, columns, data):
    shape, nodes = (*outer, columns), neuron(operator)
    low = () if rounded else (0,)
    loop = Loop(
        tuple(node.SerializeToString() for node in nodes), ("x", "v", "d", "w", "b", "a"), ("x1", "v1", "event"),
        (2, 1, 3), rounded, low, row=-1,
    )  # fmt: skip
    carried = [strided(data.draw, shape, 1), torch.randn(columns).expand(shape)]
    stacks = [strided(data.draw, (3, *shape), 2)]
    still = [torch.randn(columns), torch.randn(columns), torch.tensor([0.25])]
    plain = kernels.kernel_of(loop, torch.float32, torch.device("cpu"), False, torch.bfloat16)
    triton = kernels.flat(triton_scan(loop), strided=True, row=-1)
    (states, events), (after, made) = plain(carried, stacks, still, 3), triton(carried, stacks, still, 3)
    for left, right in zip([*states, *events], [*after, *made], strict=True):
        assert left.dtype == right.dtype
        tolerance = 2**-7 if left.dtype == torch.bfloat16 else 1e-4
        if rounded and left.dtype == torch.float32:
            tolerance = 2**-7  # one event may round to the other side
        torch.testing.assert_close(right, left.expand(right.shape), rtol=tolerance, atol=tolerance)
