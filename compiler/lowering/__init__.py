"""Level 4: from a network of neuron nodes to two graphs, init and step."""

from spikec.lowering.recurrent import Recurrent, lower
from spikec.runtime.manifest import State

__all__ = ["Recurrent", "State", "lower"]
