"""What an artifact says of itself, read from the file's metadata."""

import json
from dataclasses import dataclass
from typing import Any

import onnx

from spikec.runtime.errors import ArtifactError

FORMAT = 1  # the newest format that this reader understands
KEY = "spikec"


@dataclass(frozen=True)
class State:
    """A tensor carried through time: its names before the step, after it, and in the init graph."""

    name: str
    kind: str
    initial: str
    next: str

    @property
    def final(self) -> str:
        """Its name after the last step, where the readout takes it."""
        return f"{self.name}/final"


@dataclass(frozen=True)
class Neuron:
    """One row of the neuron table; ``event`` names the tensor of its events in the step graph."""

    name: str
    function: str
    kind: str
    event: str


@dataclass(frozen=True)
class Manifest:
    """The parts of the manifest that running needs; ``raw`` is all of it, for reports."""

    form: str
    steps: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[State, ...]
    held: tuple[str, ...]
    readout_nodes: frozenset[str]
    neurons: tuple[Neuron, ...]
    raw: dict[str, Any]


def read_manifest(model: onnx.ModelProto) -> Manifest:
    """The manifest of an artifact.

    Raises:
        ArtifactError: the model is no spikec artifact, its format is newer than this reader, or the manifest is damaged.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if KEY not in properties:
        raise ArtifactError("this ONNX file is not a spikec artifact (it has no manifest); make one with spikec compile")
    _check_format(properties.get(f"{KEY}.format", ""))
    try:
        raw = json.loads(properties[KEY])
        return Manifest(
            form=raw["form"],
            steps=int(raw["steps"]),
            inputs=tuple(raw["inputs"]),
            outputs=tuple(raw["outputs"]),
            states=tuple(State(s["name"], s["kind"], s["initial"], s["next"]) for s in raw["states"]),
            held=tuple(raw["held"]),
            readout_nodes=frozenset(raw["readout"]["nodes"]),
            neurons=tuple(Neuron(n["name"], n["function"], n["kind"], n["event"]) for n in raw["neurons"]),
            raw=raw,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"the artifact's manifest is damaged ({type(error).__name__}: {error}); compile it again") from error


def _check_format(text: str) -> None:
    if not text.isdigit():
        raise ArtifactError(f"the artifact's format '{text}' is not a number; compile it again")
    if int(text) > FORMAT:
        raise ArtifactError(
            f"the artifact has format {text}, this runtime reads up to {FORMAT}; install a newer spikec to run it"
        )
