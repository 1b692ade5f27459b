"""The tables of every neuron: what its clock says at each step."""

from collections.abc import Mapping

import numpy as np

from spikec.dead_zones import dead_zone_tables
from spikec.lowering.depth import relative_depths
from spikec.lowering.network import Network
from spikec.options import Options
from spikec.schedules import make_schedule

Tables = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


def tables_of(network: Network, options: Options) -> Tables:
    """eta(t) and theta(t), (T,), of every neuron of a level-3 network, by its name."""
    # integrate-and-fire is rate coding: its step sizes are those of a running mean
    spec = "inverse:scale=1" if options.dynamics == "subgradient" else options.schedule
    depths = relative_depths(network)
    etas = {name: make_schedule(spec, options.steps, depth) for name, depth in depths.items()}
    neurons = network.neurons.values()
    return etas, dead_zone_tables(neurons, options.steps, options.dead_zone, options.early_dead_zone)
