"""A model as a front end hands it over."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import onnx


@dataclass
class Source:
    """Level 0: the model, what it was called, and what a user should know of how it was made."""

    model: onnx.ModelProto
    name: str
    kind: str
    sha256: str
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, model: onnx.ModelProto, name: str, kind: str, warnings: list[str] | None = None) -> "Source":
        """A source whose hash is that of the model itself."""
        digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
        return cls(model, name, kind, digest, warnings or [])

    def describe(self) -> dict[str, Any]:
        """For the artifact's manifest."""
        return {"name": self.name, "kind": self.kind, "sha256": self.sha256}
