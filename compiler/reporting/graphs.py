"""The network before and after, in numbers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from spikec.passes.operators import NEURON_DOMAIN
from spikec.runtime.parts import take_apart

FEW = 12  # operators that are listed by name


@dataclass(frozen=True)
class Count:
    """Nodes of one graph: ``operators`` with their number, the most frequent first; ``nodes`` in all."""

    nodes: int
    operators: tuple[tuple[str, int], ...]


def count(nodes: Iterable[onnx.NodeProto]) -> Count:
    """Count nodes by operator; neurons by the function that they hold."""
    names = Counter(_called(node) for node in nodes)
    frequent = names.most_common(FEW)
    rest = sum(names.values()) - sum(number for _, number in frequent)
    return Count(sum(names.values()), (*frequent, *((("others", rest),) if rest else ())))


def step_count(artifact: onnx.ModelProto) -> Count:
    """The nodes of one time step of an artifact."""
    return count(take_apart(artifact).step)


def _called(node: onnx.NodeProto) -> str:
    return "neuron" if node.domain == NEURON_DOMAIN else node.op_type
