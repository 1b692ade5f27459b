"""How deep a neuron lies in the network."""

from spikec.lowering.network import Network


def relative_depths(network: Network) -> dict[str, float]:
    """For each neuron the longest chain of neurons before it, over the longest of all: first 0, deepest 1."""
    behind: dict[str, int] = {}  # tensor -> neurons on the longest way to it
    depths: dict[str, int] = {}
    for node in network.core:
        reads = () if node.op_type in ("Shape", "Size") else node.input  # a shape is there before any neuron fires
        depth = max((behind.get(name, 0) for name in reads), default=0)
        if node.name in network.neurons:
            depths[node.name] = depth
            depth += 1
        behind.update(dict.fromkeys(node.output, depth))
    deepest = max(depths.values(), default=0)
    return {name: depth / deepest if deepest else 0.0 for name, depth in depths.items()}
