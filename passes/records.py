"""What every pass returns beside the graph: an account of what it rewrote and what it left."""

from dataclasses import dataclass, field
from typing import Protocol

import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class Skip:
    """A place that looked like a match and was left as it was."""

    node: str
    reason: str


@dataclass
class Record:
    """What one pass did: names of rewritten nodes, and refused matches with their reasons.

    ``absorbed`` tells for a tensor that may be gone the node that now stands for the one that made it.
    """

    rewrote: list[str] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    absorbed: dict[str, str] = field(default_factory=dict)

    def skip(self, node: gs.Node, reason: str) -> None:
        """Note that ``node`` was left alone, and why."""
        self.skipped.append(Skip(node.name, reason))


class Pass(Protocol):
    """A rewrite: ``(graph) -> (graph, record)``; it keeps the network's outputs."""

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Rewrite ``graph`` (in place or into a new graph) and say what was done."""
        ...
