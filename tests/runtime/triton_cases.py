"""Triton kernels in Triton's interpreter on the CPU: ``test_triton.py`` runs them in a process of their own."""

from itertools import chain

import numpy as np
import pytest
import torch
from onnx import helper

from spikec.runtime.errors import UnsupportedOperator
from spikec.runtime.layers import Layerwise, kernels
from spikec.runtime.layers.loop import Loop
from spikec.runtime.layers.triton_expressions import EXPRESSIONS
from spikec.runtime.layers.triton_kernel import triton_scan
from spikec.runtime.torch_backend import TorchBackend
from tests.models.forms import STEPS
from tests.models.networks import network
from tests.runtime.engines import parts_of

ATTRIBUTES = {"Elu": {"alpha": 0.7}, "LeakyRelu": {"alpha": 0.2}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4}}
ARGUMENTS = {"Where": 2, "Clip": 3, "PRelu": 2, "Not": 1, "Reciprocal": 1}
ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min")
LOGICAL, COMPARING = ("And", "Or", "Xor", "Not", "Where"), ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual")
NETWORKS = [
    ("deep", {}),
    ("dense", {}),
    ("neuron fed by a neuron", {}),
    ("deep", {"dead_zone": 0.0}),
    ("deep", {"coding": "float"}),
    ("deep", {"range_rule": "max", "range_per": "channel"}),
    ("neuron fed by a neuron", {"range_rule": "max", "range_per": "channel"}),
    ("mlp", {"dynamics": "subgradient"}),
]


@pytest.fixture
def both(monkeypatch):
    """Every kernel runs as Triton beside the operators one by one; the fixture counts how many were compared."""
    compared = []
    plain = kernels.kernel_of.__wrapped__

    def kernel_of(loop, dtype, device, compiled, event_dtype=None):
        reference = plain(loop, dtype, device, False, event_dtype)
        triton = kernels.flat(triton_scan(loop), strided=True, row=loop.row)

        def run(carried, timed, still, steps):
            expected, found = (kernel(carried, timed, still, steps) for kernel in (reference, triton))
            for left, right in zip(expected[0] + expected[1], found[0] + found[1], strict=True):
                assert left.dtype == right.dtype
                torch.testing.assert_close(right, left.expand(right.shape), rtol=1e-5, atol=1e-6)
            compared.append(steps)
            return expected

        return run

    monkeypatch.setattr("spikec.runtime.layers.scan.kernel_of", kernel_of)
    spikes_as_on_cuda(monkeypatch)
    return compared


def spikes_as_on_cuda(monkeypatch):
    """Triton stands for CUDA here, where spikes are no integers."""
    monkeypatch.setattr("spikec.runtime.torch_backend.weight_planes", lambda precision, device: 0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_scans_of_small_networks(name, options, precision, both):
    parts = parts_of(name, **options)
    Layerwise(parts, TorchBackend(parts, "cpu", precision)).run(network(name).feeds(4), [STEPS], None, 4)
    assert STEPS in both


@pytest.mark.parametrize("operator", sorted(EXPRESSIONS))
def test_every_expression_is_the_operator(operator):
    count = ARGUMENTS.get(operator, 2 if operator in (*COMPARING, *LOGICAL, *ARITHMETIC) else 1)
    x = torch.linspace(-3, 3, 41) if operator not in ("Log", "Sqrt") else torch.linspace(0.1, 3, 41)
    names = ["x", "y", "z"][:count]
    nodes = [helper.make_node("Constant", [], ["zero"], value_float=0.0)]
    arguments = list(names)
    if operator in LOGICAL:  # of booleans, which a comparison makes
        arguments = [f"{name}/b" for name in names]
        nodes += [
            helper.make_node("Greater", [name, "zero"], [bit]) for name, bit in zip(names, arguments, strict=True)
        ]
    if operator == "Where":
        arguments = ["x/b", "x", "y"]
    result = "bits" if operator in (*COMPARING, *LOGICAL) and operator != "Where" else "f"
    nodes.append(helper.make_node(operator, arguments, [result], **ATTRIBUTES.get(operator, {})))
    if result == "bits":
        nodes.append(helper.make_node("Cast", ["bits"], ["f"], to=1))
    nodes.append(helper.make_node("Add", ["v", "f"], ["w"]))
    safe = {name: name.replace("/", "_") for node in nodes for name in (*node.input, *node.output)}
    for node in nodes:
        node.input[:] = [safe[name] for name in node.input]
        node.output[:] = [safe[name] for name in node.output]
    serialised = tuple(node.SerializeToString() for node in nodes)
    loop = Loop(serialised, ("v", *names), ("w", "f"), (1, 1, count - 1))
    stack = torch.stack([x, x + 0.25])
    still = [torch.linspace(2.5, -0.5, 41), torch.tensor([0.5])][: count - 1]
    if operator == "Clip":
        still = [torch.tensor([-0.5]), torch.tensor([0.75])]
    plain = kernels.kernel_of(loop, torch.float32, torch.device("cpu"), False)
    for left, right in zip(
        chain(*plain([torch.zeros(41)], [stack], still, 2)),
        chain(*triton_scan(loop)([torch.zeros(41)], [stack], still, 2)),
        strict=True,
    ):
        np.testing.assert_allclose(right, left, rtol=1e-5, atol=2e-6)


ADDS = (helper.make_node("Add", ["v", "x"], ["w"]), helper.make_node("Mul", ["w", "a"], ["f"]))


@pytest.mark.parametrize("shape", [(3, 4, 5), ()])
def test_states_that_repeat_a_row_and_neurons_without_axes(shape):
    serialised = tuple(node.SerializeToString() for node in ADDS)
    loop = Loop(serialised, ("v", "x", "a"), ("w", "f"), (1, 1, 1))
    row, stack = torch.randn((1, *shape[1:]) if shape else ()), torch.randn((2, *shape))
    still = torch.randn((shape[-1],) if shape else ())
    expected = kernels.kernel_of(loop, torch.float32, torch.device("cpu"), False)
    found = kernels.flat(triton_scan(loop), strided=True)
    for left, right in zip(
        chain(*expected([row.expand(shape)], [stack], [still], 2)),
        chain(*found([row.expand(shape)], [stack], [still], 2)),
        strict=True,
    ):
        torch.testing.assert_close(right, left)


def test_nodes_without_an_expression_are_refused():
    node = helper.make_node("Acosh", ["x"], ["y"])
    with pytest.raises(UnsupportedOperator, match="Acosh has no Triton expression"):
        triton_scan(Loop((node.SerializeToString(),), ("x",), ("y",), (1, 0, 0)))
