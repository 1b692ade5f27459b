"""spikec: compiles trained neural networks into spiking neural networks, ONNX in, ONNX out.

Public names are loaded when first used, so that ``import spikec.runtime`` stays free of the compiler's dependencies.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikec import ledger
    from spikec.compilation import compile, prepare
    from spikec.errors import CheckFailed, EnvironmentMissing, InternalError, ModelError, SpikecError, UsageError
    from spikec.ledger import Ledger
    from spikec.options import Options
    from spikec.planning import Plan, plan
    from spikec.prepared import Artifact, Prepared

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "spikec.prepared",
    "Prepared": "spikec.prepared",
    "compile": "spikec.compilation",
    "prepare": "spikec.compilation",
    "CheckFailed": "spikec.errors",
    "EnvironmentMissing": "spikec.errors",
    "InternalError": "spikec.errors",
    "ModelError": "spikec.errors",
    "SpikecError": "spikec.errors",
    "UsageError": "spikec.errors",
    "Ledger": "spikec.ledger",
    "Options": "spikec.options",
    "Plan": "spikec.planning",
    "plan": "spikec.planning",
}

__all__ = [
    "Artifact",
    "CheckFailed",
    "EnvironmentMissing",
    "InternalError",
    "Ledger",
    "ModelError",
    "Options",
    "Plan",
    "Prepared",
    "SpikecError",
    "UsageError",
    "__version__",
    "compile",
    "ledger",
    "plan",
    "prepare",
]


_MODULES = ("ledger",)  # spikec.ledger.ledger() counts


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"spikec.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'spikec' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
