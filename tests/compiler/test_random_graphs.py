"""Random networks out of all supported operators: levels 0 to 3 compute the same, level 4 what the oracle does."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import spikec
from spikec.equivalence import relative_distance
from spikec.errors import ModelError
from spikec.passes.operators import affine_operators, neuron_operators
from spikec.runtime import Session
from tests.models.random_graphs import Network, networks, operators_drawn
from tests.oracle import Oracle

# refusals that a network may meet, all else is a fault: stock onnxruntime, which runs the source, has this operator in
# older opsets only; ONNX infers no rank behind a GroupNormalization, and granularity strict needs it
NOT_RUN = "Could not find an implementation for GlobalLpPool(22)"
NO_RANK = "(GroupNormalization): its rank is unknown"
REFUSALS = {"composite": (NOT_RUN,), "strict": (NOT_RUN, NO_RANK)}


def test_networks_may_hold_every_supported_operator():
    assert set(affine_operators()) | set(neuron_operators()) <= operators_drawn()


@pytest.mark.parametrize("granularity", ["composite", "strict"])
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to shrink a failure, take this line out: it compiles hundreds of networks
    suppress_health_check=list(HealthCheck),
)
@given(network=networks(), steps=st.integers(4, 8))
def test_every_level_and_form_of_a_random_network(granularity, network, steps):
    try:
        prepared = spikec.prepare(network.model, calibration=network.feeds, steps=steps, granularity=granularity)
    except ModelError as error:
        assert any(reason in str(error) for reason in REFUSALS[granularity]), error
        return
    artifact = prepared.compile()
    assert max(artifact.levels.distances.values()) <= 1e-4
    first = _equals_the_oracle(artifact, network)
    for built in (artifact, prepared.compile(form="unrolled")):
        (step,) = Session(built.model, "onnxruntime").stream(network.feeds, 1)
        assert relative_distance(step.outputs["y"], first) < 1e-4


def _equals_the_oracle(artifact: spikec.Artifact, network: Network) -> np.ndarray:
    """Spike for spike in float64; returns the outputs after the first step."""
    oracle = Oracle.of(artifact)
    stream = Session(artifact.model, precision="float64").stream(network.feeds)
    first: list[np.ndarray] = []
    for step, (outputs, spikes) in zip(stream, oracle.run(network.feeds), strict=True):
        assert set(step.spikes) == set(spikes)
        for neuron, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], expected, err_msg=f"{neuron} at step {step.t}")
        assert relative_distance(step.outputs["y"], outputs["y"]) < 1e-9
        first.append(step.outputs["y"])
    return first[0]
