"""Level 5: one ONNX file that stock onnxruntime runs, in one of three forms, with its manifest."""

from spikec.artifact.assemble import assemble
from spikec.artifact.write import write_model

__all__ = ["assemble", "write_model"]
