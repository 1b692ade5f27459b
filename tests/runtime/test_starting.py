"""States before the first step: what no sample changes is kept, and is what the init graph gives."""

import numpy as np
import pytest
from onnx import helper

from spikec.runtime.layers.starting import Start, unmoved
from spikec.runtime.torch_backend import TorchBackend
from tests.models.networks import TEXTS, network
from tests.runtime.engines import parts_of


def test_shapes_do_not_carry_values():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Expand", ["row", "s"], ["kept"]),
        helper.make_node("Add", ["x", "kept"], ["moved"]),
        helper.make_node("Neg", ["moved"], ["moved too"]),
    ]
    assert unmoved(nodes, ["x"]) == {"s", "kept"}


def test_a_graph_inside_of_a_node_may_read_anything():
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "b", [], [])
    assert unmoved([helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)], ["x"]) == set()


def started(name, precision):
    """An artifact's engine, its init graph evaluated plainly, and as ``Start`` does."""
    parts = parts_of(name)
    engine = TorchBackend(parts, "cpu", precision)
    wanted = list(dict.fromkeys(state.initial for state in parts.manifest.states))
    plain = engine.graph(parts.init, wanted, parts.types)
    return engine, plain, Start(parts, engine, wanted, plain)


@pytest.mark.parametrize("name", TEXTS)
def test_every_call_gives_what_the_init_graph_gives(name):
    engine, plain, start = started(name, "float64")
    samples = network(name).feeds(5)
    for rows in (slice(0, 3), slice(2, 5), slice(0, 2), slice(0, 3)):  # three and two samples, some for a second time
        fed = {key: engine.to_device(array[rows]) for key, array in samples.items()}
        expected, found = plain(fed), start(fed)
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            np.testing.assert_allclose(found[key], tensor, rtol=1e-12)


def test_what_samples_do_not_change_is_one_row():
    engine, _, start = started("deep", "float32")
    fed = {key: engine.to_device(array) for key, array in network("deep").feeds(3).items()}
    start(fed)
    assert start.alike, "a deep network has layers that no sample reaches before the first step"
    assert all(tensor.stride(0) == 0 for name, tensor in start(fed).items() if name in start.alike)


def test_what_no_sample_changes_is_not_computed_again(monkeypatch):
    """A residual brings the samples' values to every state; the products of the constant rows it meets are kept."""
    engine, _, start = started("residual", "float32")
    monkeypatch.setattr(start, "_all", None)
    fed = {key: engine.to_device(array) for key, array in network("residual").feeds(3).items()}
    first = start(fed)
    monkeypatch.setattr(start, "_still", None)
    again = start(fed)
    assert first.keys() - set(start.alike), "the samples move some states"
    assert all((again[name] == tensor).all() for name, tensor in first.items())
