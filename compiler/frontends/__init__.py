"""Front ends: whatever a user calls a model becomes an ONNX model with a dynamic batch."""

from spikec.frontends.resolve import load_model
from spikec.frontends.source import Source

__all__ = ["Source", "load_model"]
