"""Layer-by-layer evaluation: every affine segment takes all time steps at once, every neuron is one scan over time."""

from spikec.runtime.layers.layerwise import Layerwise
from spikec.runtime.layers.plan import CannotFold

__all__ = ["CannotFold", "Layerwise"]
