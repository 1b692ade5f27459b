"""The results on file: rows by network, as JSON, with what they were measured on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.accuracy.row import Row
from benchmarks.accuracy.subject import Subject
from spikec.errors import UsageError


@dataclass
class Measured:
    """One network: what its rows were measured on, the trained network's own figures, and the rows by name."""

    setup: dict[str, Any]
    accuracy: float
    macs: float
    rows: dict[str, Row] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "rows": {name: row.as_dict() for name, row in self.rows.items()}}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Measured":
        """The inverse of ``as_dict``."""
        return cls(**{**raw, "rows": {name: Row.of(row) for name, row in raw["rows"].items()}})


def setup_of(subject: Subject) -> dict[str, Any]:
    """What rows of one table have in common."""
    return {
        "weights": f"sha256 {subject.digest}",
        "test images": len(subject.images.test),
        "calibration images": len(subject.images.calibration),
    }


def load(path: Path) -> dict[str, Measured]:
    """Networks by name of an earlier run; none where there is no file.

    Raises:
        UsageError: the file is no results file.
    """
    if not path.is_file():
        return {}
    try:
        return {name: Measured.of(raw) for name, raw in json.loads(path.read_text())["networks"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no results file of this benchmark ({error}); remove it") from error


def check_setup(network: str, measured: Measured, setup: Mapping[str, Any]) -> None:
    """Rows measured on something else must not stand in one table.

    Raises:
        UsageError: they were.
    """
    different = [f"{key} {measured.setup.get(key)} instead of {setup[key]}" for key in setup]
    different = [text for key, text in zip(setup, different, strict=True) if measured.setup.get(key) != setup[key]]
    if different:
        raise UsageError(
            f"the rows of {network} on file were measured with {', '.join(different)}; give --anew, or another --output"
        )


def save(path: Path, networks: Mapping[str, Measured], command: str) -> None:
    """Write the raw numbers; ``command`` remakes them."""
    raw = {"command": command, "networks": {name: measured.as_dict() for name, measured in networks.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw, indent=1) + "\n")
