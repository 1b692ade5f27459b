"""Time spelled out: a Loop over the steps becomes one copy of its body for each step."""

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.records import Record
from spikec.passes.surgery import constant, values_of


class UnrollTime:
    """Unrolls every Loop with a constant trip count and no condition of its own.

    before: Loop(4, body: (t, x) -> x')        after: body(0, x) -> x@0;  body(1, x@0) -> x@1;  ...

    A tensor ``n`` of the body is called ``n@t`` in the copy for step t.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Unroll.

        Raises:
            UnsupportedNode: for a Loop whose trip count is computed, that may stop early or that collects scan outputs.
        """
        record = Record()
        for loop in [node for node in graph.nodes if node.op == "Loop"]:
            _unroll(graph, loop, _trip_count(loop))
            record.rewrote.append(loop.name)
        return graph.cleanup().toposort(), record


def _trip_count(loop: gs.Node) -> int:
    count = values_of(loop.inputs[0])
    if count is None:
        raise UnsupportedNode(loop.name, "Loop", "its trip count is computed", "unroll only loops of a fixed length")
    if len(loop.outputs) != len(loop.inputs) - 2:
        raise UnsupportedNode(loop.name, "Loop", "it collects scan outputs", "return states only")
    if not _always_goes_on(loop):
        raise UnsupportedNode(
            loop.name, "Loop", "it has a condition to stop early", "unroll loops that run to their end"
        )
    return int(count)


def _always_goes_on(loop: gs.Node) -> bool:
    """Whether the condition is true at first and the body hands it on, or says true itself."""
    body: gs.Graph = loop.attrs["body"]
    first, after = loop.inputs[1], body.outputs[0]
    while after.inputs and after.inputs[0].op == "Identity":
        after = after.inputs[0].inputs[0]
    says_true = any(node.op == "Constant" and bool(node.attrs["value"].values) for node in after.inputs)
    return (not first.name or bool(values_of(first))) and (says_true or after.name == body.inputs[1].name)


def _unroll(graph: gs.Graph, loop: gs.Node, steps: int) -> None:
    body: gs.Graph = loop.attrs["body"]
    clock, condition, *state_names = [tensor.name for tensor in body.inputs]
    states = list(loop.inputs[2:])
    for t in range(steps):
        bound = {clock: constant(f"{clock}@{t}", np.array(t, np.int64)), condition: loop.inputs[1]}
        bound.update(zip(state_names, states, strict=True))
        copies = _copy_step(graph, body, bound, t)
        states = [copies[tensor.name] for tensor in body.outputs[1:]]
    outputs = list(loop.outputs)
    loop.outputs.clear()
    for output, state in zip(outputs, states, strict=True):
        graph.nodes.append(gs.Node("Identity", f"{output.name}/last", {}, [state], [output]))


def _copy_step(graph: gs.Graph, body: gs.Graph, bound: dict[str, gs.Tensor], t: int) -> dict[str, gs.Tensor]:
    """One copy of the body; tensors of the outer graph and constants are shared, the body's own are renamed."""
    inside = {tensor.name for node in body.nodes for tensor in node.outputs}
    copies = dict(bound)

    def copy(tensor: gs.Tensor) -> gs.Tensor:
        if tensor.name in inside and tensor.name not in copies:
            copies[tensor.name] = gs.Variable(f"{tensor.name}@{t}", tensor.dtype)
        return copies.get(tensor.name, tensor)

    for node in body.nodes:
        inputs, outputs = [copy(i) for i in node.inputs], [copy(o) for o in node.outputs]
        name = f"{node.name or node.outputs[0].name}@{t}"
        graph.nodes.append(gs.Node(node.op, name, dict(node.attrs), inputs, outputs, domain=node.domain))
    return {**{tensor.name: tensor for tensor in body.outputs}, **copies}
