"""What the passes of granularity "strict" share: one node becomes several, called ``<node>/<part>``."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NoReturn

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.records import Record
from spikec.passes.surgery import append, constant, is_output
from spikec.passes.value_path import ValuePath

TINY = float(np.finfo(np.float32).tiny)  # a floor that no value of a network in float32 lies under but zero


class Opening:
    """Writes the nodes that take the place of ``node``; planning tells by their names where they come from."""

    def __init__(self, graph: gs.Graph, node: gs.Node) -> None:
        self.graph, self.node = graph, node

    @property
    def x(self) -> gs.Tensor:
        """The first input of the node."""
        return self.node.inputs[0]

    def add(self, op: str, inputs: Sequence[gs.Tensor], part: str, **attrs: object) -> gs.Variable:
        """Add the node ``<node>/<part>`` and return its output, of the type of ``x``."""
        return append(self.graph, op, inputs, f"{self.node.name}/{part}", like=self.x, **attrs)

    def number(self, value: float, part: str) -> gs.Constant:
        """A float32 scalar."""
        return constant(f"{self.node.name}/{part}", np.array(value, np.float32))

    def integers(self, values: Sequence[int], part: str) -> gs.Constant:
        """A vector of int64: axes, shapes, pads."""
        return constant(f"{self.node.name}/{part}", np.array(values, np.int64))

    def at_least(self, x: gs.Tensor, floor: float, part: str) -> gs.Variable:
        """``max(x, floor)``: keeps what follows defined while the estimate of ``x`` passes below its values."""
        return self.add("Max", [x, self.number(floor, f"{part}_floor")], part)

    def rank(self) -> int:
        """The rank of ``x``.

        Raises:
            UnsupportedNode: it is unknown.
        """
        if self.x.shape is None:
            self.refuse("its rank is unknown", "export the model with shapes or use granularity composite")
        return len(self.x.shape)

    def refuse(self, reason: str, way_out: str) -> NoReturn:
        """Raise the error that names the node."""
        raise UnsupportedNode(self.node.name, self.node.op, reason, way_out)

    def close(self, result: gs.Tensor) -> None:
        """Let ``result`` be what the node computed: its output tensor goes to the node that makes ``result``."""
        output = self.node.outputs[0]
        self.node.outputs.clear()
        if any(result is tensor for tensor in self.node.inputs):
            wire = gs.Node("Identity", f"{self.node.name}/wire", {}, [result], [output])
            self.graph.nodes.append(wire)
        else:
            result.inputs[0].outputs = [output]


Form = Callable[[Opening], gs.Tensor]


def openable(graph: gs.Graph, operators: Collection[str]) -> list[gs.Node]:
    """The nonlinearities of ``graph`` with one of these standard operators."""
    path = ValuePath(graph)
    standard = [node for node in graph.nodes if node.domain in (None, "", "ai.onnx")]
    return [node for node in standard if node.op in operators and path.is_nonlinearity(node)]


def open_nodes(
    graph: gs.Graph, forms: Mapping[str, Form], nodes: Sequence[gs.Node] | None = None
) -> tuple[gs.Graph, Record]:
    """Open ``nodes`` (None: all that are openable) by the form of their operator, but for those whose outputs besides
    the first are used.

    Raises:
        UnsupportedNode: a form cannot open a node.
    """
    record = Record()
    for node in openable(graph, forms) if nodes is None else nodes:
        if any(tensor.outputs or is_output(graph, tensor) for tensor in node.outputs[1:]):
            record.skip(node, "more than its first output is used")
            continue
        opening = Opening(graph, node)
        opening.close(forms[node.op](opening))
        record.rewrote.append(node.name)
    return graph.cleanup().toposort(), record


def tree(opening: Opening, op: str, tensors: Sequence[gs.Tensor], part: str) -> gs.Tensor:
    """A balanced tree of the binary operator ``op`` (depth log2 of their number: errors pass fewer neurons)."""
    level, depth = list(tensors), 0
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            opening.add(op, pair, f"{part}{depth}_{i}") if len(pair) == 2 else pair[0] for i, pair in enumerate(pairs)
        ]
        depth += 1
    return level[0]
