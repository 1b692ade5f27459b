"""What an artifact says of itself, read from the file's metadata."""

import json
from dataclasses import dataclass
from typing import Any

import onnx

from spikec.runtime.errors import ArtifactError
from spikec.runtime.manifest_check import fault_in

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
    held_types: tuple[int, ...]
    readout_nodes: frozenset[str]
    neurons: tuple[Neuron, ...]
    raw: dict[str, Any]


def read_manifest(model: onnx.ModelProto, name: str = "this ONNX file") -> Manifest:
    """The manifest of an artifact; ``name`` is what messages call it.

    Raises:
        ArtifactError: the model is no spikec artifact, its format is newer than this reader, or it is damaged.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if KEY not in properties:
        raise ArtifactError(f"{name} is not a spikec artifact (it has no manifest); make one with spikec compile")
    _check_format(properties.get(f"{KEY}.format", ""), name)
    raw = _parse(properties[KEY], name)
    return Manifest(
        form=raw["form"],
        steps=raw["steps"],
        inputs=tuple(raw["inputs"]),
        outputs=tuple(raw["outputs"]),
        states=tuple(State(s["name"], s["kind"], s["initial"], s["next"]) for s in raw["states"]),
        held=tuple(raw["held"]),
        held_types=tuple(raw["held_types"]),
        readout_nodes=frozenset(raw["readout"]["nodes"]),
        neurons=tuple(Neuron(n["name"], n["function"], n["kind"], n["event"]) for n in raw["neurons"]),
        raw=raw,
    )


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        raw = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ArtifactError(f"{name} has a damaged manifest ({error}); compile it again") from error
    fault = fault_in(raw)
    if fault:
        raise ArtifactError(f"{name} has a damaged manifest ({fault}); compile it again")
    return dict(raw)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _check_format(text: str, name: str) -> None:
    if not (text.isascii() and text.isdigit()):
        raise ArtifactError(f"{name} has the format '{text}', which is not a number; compile it again")
    if int(text) > FORMAT:
        raise ArtifactError(
            f"{name} has format {text}, this runtime reads up to {FORMAT}; install a newer spikec to run it"
        )
