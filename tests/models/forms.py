"""Artifacts of the small networks in every form, run in stock onnxruntime."""

import functools
from typing import Any

import numpy as np

import spikec
from spikec.lowering.step_graph import CLOCK
from spikec.onnx_session import open_session, run_model, run_session
from tests.models.graphs import Arrays
from tests.models.networks import network

STEPS = 5
FORMS = ("loop", "unrolled", "step")


@functools.cache
def compiled(name: str, form: str = "loop", **options: Any) -> spikec.Artifact:
    """The artifact of the network of that name (``tests.models.networks``)."""
    case = network(name)
    return spikec.compile(case.model, calibration=case.feeds(6, seed=50), steps=STEPS, form=form, **options)


def run_form(artifact: spikec.Artifact, feeds: Arrays) -> Arrays:
    """Outputs after the last step. Form step is called once a step, its states handed on by the manifest's names."""
    manifest = artifact.manifest
    if manifest["form"] != "step":
        return run_model(artifact.model, feeds)
    session = open_session(artifact.model)
    carried = [(f"{state['name']}/in", state["next"]) for state in manifest["states"]]
    carried += [(f"{name}/in", f"{name}/out") for name in manifest["held"]]
    fed = dict(feeds)  # at t = 0 states have a default
    for t in range(manifest["steps"]):
        found = run_session(session, {**fed, CLOCK: np.array(t)})
        fed.update((target, found[source]) for target, source in carried)
    return {name: found[name] for name in manifest["outputs"]}
