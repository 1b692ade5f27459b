"""Makes a model-local ONNX function out of a few nodes: the nonlinearity f of a neuron."""

import itertools
import re
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.operators import FUNCTION_DOMAIN, ROW_PREFIX
from spikec.passes.surgery import fingerprint, function_of, values_of

# defaults that onnxruntime loses where the operator stands in a function
_DEFAULTS: dict[str, dict[str, object]] = {"MeanVarianceNormalization": {"axes": [0, 2, 3]}}


def add_function(
    graph: gs.Graph, nodes: Sequence[gs.Node], inputs: Sequence[gs.Tensor], prefix: str = ""
) -> tuple[gs.Function, list[gs.Tensor]]:
    """Add ``spikec.f::NAME(inputs..., parameters...)``, computed by ``nodes``, to ``graph`` unless it is there already.

    NAME begins with ``prefix``. Returns the function and its parameters: what the nodes read that is neither among
    ``inputs`` nor a scalar or axes (constant vectors of integers).
    Two regions with the same operators, attributes and scalars share one function. Its body is standard operators only:
    calls of functions made before are spelled out.
    """
    body = _Body(graph, nodes, inputs)
    function = gs.Function(prefix + _name(nodes, body), FUNCTION_DOMAIN, body.nodes, body.arguments, body.outputs)
    known = function_of(graph, FUNCTION_DOMAIN, function.name)
    if known is None:
        graph.functions.append(function)
    return known or function, list(body.parameters.values())


def operators_of(name: str) -> str:
    """The operators in the name of a function, without the fingerprint: what a message shows."""
    return re.sub("_[0-9a-f]{8}$", "", name.removeprefix(ROW_PREFIX))


class _Body:
    """The nodes of a function, in names of its own: x0.. inputs, p0.. parameters, t0.. inside."""

    def __init__(self, graph: gs.Graph, nodes: Sequence[gs.Node], inputs: Sequence[gs.Tensor]) -> None:
        self.graph = graph
        self.names = {tensor.name: gs.Variable(f"x{i}") for i, tensor in enumerate(inputs)}
        self.parameters: dict[str, gs.Tensor] = {}
        self.nodes: list[gs.Node] = []
        self._inside = {tensor.name for node in nodes for tensor in node.outputs}
        self._fresh = (f"t{i}" for i in itertools.count())
        for node in nodes:
            self._add(node)
        self.arguments = [self.names[t.name] for t in inputs] + [self.names[key] for key in self.parameters]
        self.outputs = [self.names[nodes[-1].outputs[0].name]]

    def _add(self, node: gs.Node) -> None:
        arguments = [self._local(tensor) for tensor in node.inputs]
        outputs = [self._local(node.outputs[0])]
        function = function_of(self.graph, FUNCTION_DOMAIN, node.op) if node.domain == FUNCTION_DOMAIN else None
        if function is not None:
            self._spell_out(function, arguments, outputs)
        else:
            attrs = {**_DEFAULTS.get(node.op, {}), **node.attrs}
            self.nodes.append(gs.Node(node.op, "", attrs, arguments, outputs, domain=node.domain))

    def _spell_out(self, function: gs.Function, arguments: list[gs.Tensor], outputs: list[gs.Tensor]) -> None:
        formal = [tensor.name for tensor in [*function.inputs, *function.outputs]]
        names = {"": gs.Variable.empty(), **dict(zip(formal, [*arguments, *outputs], strict=True))}
        for node in function.nodes:
            for tensor in node.outputs:
                if tensor.name not in names:
                    names[tensor.name] = gs.Variable(next(self._fresh))
            inner, outer = [names[t.name] for t in node.inputs], [names[t.name] for t in node.outputs]
            self.nodes.append(gs.Node(node.op, "", dict(node.attrs), inner, outer, domain=node.domain))

    def _local(self, tensor: gs.Tensor) -> gs.Tensor:
        if not tensor.name:
            return gs.Variable.empty()
        if tensor.name not in self.names:
            self.names[tensor.name] = self._declare(tensor)
        return self.names[tensor.name]

    def _declare(self, tensor: gs.Tensor) -> gs.Variable:
        values = values_of(tensor)
        if tensor.name in self._inside or _belongs_inside(values):
            local = gs.Variable(next(self._fresh))
            if values is not None:
                self.nodes.append(_constant_node(values, local))
            return local
        self.parameters[tensor.name] = tensor
        return gs.Variable(f"p{len(self.parameters) - 1}")


def _belongs_inside(values: np.ndarray | None) -> bool:
    """Scalars, and axes: without them in the body the ranks in it, and behind it, would be unknown."""
    return values is not None and values.ndim <= 1 and (values.size == 1 or values.dtype == np.int64)


def _constant_node(values: np.ndarray, output: gs.Variable) -> gs.Node:
    return gs.Node("Constant", "", {"value": gs.Constant(f"{output.name}_value", values)}, [], [output])


def _name(nodes: Sequence[gs.Node], body: _Body) -> str:
    """The operator's own name where it says all (one input, no settings); else the operators and a fingerprint."""
    if len(nodes) == 1 and nodes[0].domain == FUNCTION_DOMAIN:
        return str(nodes[0].op)
    first = body.nodes[0]
    if len(body.nodes) == 1 and len(first.inputs) == 1 and not first.attrs:
        return str(first.op)
    operators = "_".join(node.op.split("_")[0] for node in nodes)
    return f"{operators[:40].rstrip('_')}_{fingerprint(body.nodes, body.arguments)}"
