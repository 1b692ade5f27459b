"""Runs artifacts. Knows nothing of the compiler: all that it needs stands in the ONNX file.

Needs onnx and numpy, and torch or onnxruntime, whichever backend is used.
"""

from spikec.runtime.errors import ArtifactError, DeviceError, InputError, SpikecRuntimeError, UnsupportedOperator
from spikec.runtime.exit_rules import Certified, Margin, Rule, Stability, parse_rule
from spikec.runtime.manifest import Manifest, read_manifest
from spikec.runtime.model_file import read_model
from spikec.runtime.result import EarlyResult, Result, SpikeCount, Step
from spikec.runtime.session import Session

__all__ = [
    "ArtifactError",
    "Certified",
    "DeviceError",
    "EarlyResult",
    "InputError",
    "Manifest",
    "Margin",
    "Result",
    "Rule",
    "Session",
    "SpikeCount",
    "SpikecRuntimeError",
    "Stability",
    "Step",
    "UnsupportedOperator",
    "parse_rule",
    "read_manifest",
    "read_model",
]
