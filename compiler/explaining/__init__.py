"""Where the error of a conversion comes from: neuron by neuron and step by step, read from the artifact itself."""

from spikec.explaining.explanation import Explanation
from spikec.explaining.tracing import explain

__all__ = ["Explanation", "explain"]
