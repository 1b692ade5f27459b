"""The two networks of a check, opened, and whether one can have been made from the other."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from spikec.calibration import InputSpec, signature
from spikec.checking.settings import Settings
from spikec.errors import EnvironmentMissing, ModelError, UsageError
from spikec.frontends import Source
from spikec.onnx_session import open_session, run_session
from spikec.runtime import Result, Session, read_model
from spikec.runtime.inputs import batches, fixed_batch

Feeds = dict[str, np.ndarray]


@dataclass
class Networks:
    """A trained network and the artifact made from it, ready to run.

    Attributes:
        specs: what both take.
        outputs: what both give, in the trained network's order.
        fixed: the number of samples that they take at once, where it is fixed.
        digest: SHA-256 of the artifact's file.
        warnings: what does not fit and need not be wrong.
    """

    source: Source
    artifact: str
    session: Session
    ann: onnxruntime.InferenceSession
    specs: list[InputSpec]
    outputs: list[str]
    fixed: int | None
    digest: str
    warnings: list[str]

    @classmethod
    def open(
        cls, source: Source, artifact: str | Path | bytes | onnx.ModelProto, called: str, settings: Settings
    ) -> "Networks":
        """Both networks; ``called`` is the name of an artifact that is no file.

        Raises:
            ModelError, ArtifactError: one is damaged, or they are not the same network.
            InputError: there is no such artifact.
            EnvironmentMissing, DeviceError: a device or provider is not there.
        """
        model = read_model(artifact)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            session = Session(model, settings.backend, settings.device, settings.precision, settings.evaluation)
        name = str(artifact) if isinstance(artifact, (str, Path)) else called
        made_from = session.manifest.raw["source"]["sha256"]
        notes = [str(warning.message) for warning in told if issubclass(warning.category, UserWarning)]
        if made_from != source.sha256:
            notes.append(f"{name} says that it was made from another file than {source.name} (other SHA-256)")
        specs, outputs = signature(source.model), [info.name for info in source.model.graph.output]
        _check_same(source.name, name, specs, outputs, session)
        ann = open_session(source.model, provider=check_provider(settings.provider), device=settings.index)
        fixed = next((spec.batch for spec in specs if spec.batch), None)
        return cls(source, name, session, ann, specs, outputs, fixed, _digest(artifact, model), notes)

    def trained(self, feeds: Feeds) -> Feeds:
        """The trained network's outputs; a fixed batch is filled up with copies of the last sample."""
        inputs = [info for info in self.source.model.graph.input if info.name in feeds]
        found = [
            {n: value if count == self._rows(part) else value[:count] for n, value in self._run(part).items()}
            for part, count in batches(feeds, inputs, fixed_batch(inputs) or self._rows(feeds))
        ]
        return found[0] if len(found) == 1 else {n: np.concatenate([p[n] for p in found]) for n in self.outputs}

    def spiking(self, feeds: Feeds, steps: list[int], batch_size: int | None) -> Result:
        """The artifact's outputs after each number of steps, and its spikes."""
        return self.session.run(feeds, steps, batch_size=batch_size)

    def _run(self, feeds: Feeds) -> Feeds:
        return run_session(self.ann, feeds, self.outputs)

    @staticmethod
    def _rows(feeds: Feeds) -> int:
        return len(next(iter(feeds.values())))


def check_provider(name: str) -> str:
    """The name of an execution provider of onnxruntime, if it is there.

    Raises:
        UsageError: onnxruntime knows none of that name.
        EnvironmentMissing: this onnxruntime was built without it.
    """
    known, present = onnxruntime.get_all_providers(), onnxruntime.get_available_providers()
    if name not in known:
        raise UsageError(f"onnxruntime knows no provider '{name}'; here are {', '.join(present)}")
    if name not in present:
        raise EnvironmentMissing(f"this onnxruntime has no {name}; here are {', '.join(present)}")
    return name


def _check_same(model: str, artifact: str, specs: list[InputSpec], outputs: list[str], session: Session) -> None:
    """Refuse networks that differ in the names of inputs or outputs."""
    manifest = session.manifest
    pairs: dict[str, tuple[Any, Any]] = {
        "inputs": ([spec.name for spec in specs], list(manifest.inputs)),
        "outputs": (outputs, list(manifest.outputs)),
    }
    for what, (trained, spiking) in pairs.items():
        if set(trained) != set(spiking):
            raise ModelError(
                f"{model} has the {what} {', '.join(trained)}, {artifact} has {', '.join(spiking)}: it was made from "
                "another model; give its own"
            )


def _digest(artifact: str | Path | bytes | onnx.ModelProto, model: onnx.ModelProto) -> str:
    """Of the file; of a model in memory as it would be written."""
    if isinstance(artifact, (str, Path)):
        with open(artifact, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(artifact if isinstance(artifact, bytes) else model.SerializeToString()).hexdigest()
