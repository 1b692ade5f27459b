"""Runs an artifact on data and counts, at every place that is watched, how many numbers are not zero."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx

from spikec.artifact.manifest import attach
from spikec.errors import ModelError
from spikec.ledger.probe import Probe
from spikec.runtime import Session
from spikec.runtime.inputs import Feeds


@dataclass(frozen=True)
class Measured:
    """Numbers that were not zero, summed over the steps, mean of the samples.

    Attributes:
        counts: by tensor of the step graph, each shaped like it for the probe's samples.
        samples: of the data.
    """

    counts: Mapping[str, np.ndarray]
    samples: int

    def total(self, tensor: str, samples: int) -> float:
        """In the whole tensor, for one of the probe's ``samples``."""
        return float(self.counts[tensor].sum()) / samples


@dataclass(frozen=True)
class Run:
    """How the artifact is run: the words are those of ``Session``."""

    steps: int
    batch_size: int | None = None
    device: str = "cpu"
    progress: Any = None


def measure(model: onnx.ModelProto, probe: Probe, feeds: Feeds, tensors: Sequence[str], run: Run) -> Measured:
    """The events of all neurons, and what else is not zero in ``tensors`` of the step graph.

    Raises:
        ModelError: what happens in a tensor cannot be told apart by samples.
    """
    # the runtime counts the events of the neurons in the manifest: what is watched stands there as neurons too
    session = Session(_watched(model, probe, tensors), device=run.device, evaluation="steps")
    settings = {"batch_size": run.batch_size, "progress": run.progress}
    spikes = session.run(feeds, run.steps, **settings).spikes
    samples = len(next(iter(feeds.values())))
    events = {neuron.name: neuron.event for neuron in session.manifest.neurons}
    counts = {events[name]: _spread(events[name], count.per_neuron / samples, probe) for name, count in spikes.items()}
    return Measured(counts, samples)


def _watched(model: onnx.ModelProto, probe: Probe, tensors: Sequence[str]) -> onnx.ModelProto:
    manifest = copy.deepcopy(probe.parts.manifest.raw)
    rows = manifest["neurons"]
    rows += [{**rows[0], "name": f"{name}//watched", "event": name} for name in tensors]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    attach(watched, manifest)
    return watched


def _spread(name: str, counts: np.ndarray, probe: Probe) -> np.ndarray:
    """One sample's ``counts`` in the shape that the tensor has for the probe's samples."""
    shape = probe.shapes[name]
    if counts.size == prod(shape):
        return counts.reshape(shape)
    axis = next((i for i, extent in enumerate(shape) if extent == probe.samples), 0)
    if not shape or shape[axis] % probe.samples or counts.size * probe.samples != prod(shape):
        raise ModelError(
            f"the events in '{name}' do not follow the number of samples, so that there is no energy of one sample; "
            "count them on data of one sample"
        )
    rows = shape[axis] // probe.samples
    apart = counts.reshape(*shape[:axis], 1, rows, *shape[axis + 1 :])
    return np.broadcast_to(apart, (*shape[:axis], probe.samples, rows, *shape[axis + 1 :])).reshape(shape)
