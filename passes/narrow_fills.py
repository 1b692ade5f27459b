"""Tensors filled with one number are scalars wherever the operator that reads them widens its operands."""

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.fold_constants import evaluate
from spikec.passes.operators import is_elementwise
from spikec.passes.records import Record
from spikec.passes.shape_names import name_dimensions
from spikec.passes.shape_vectors import Dims, known_shape, shape_contents
from spikec.passes.surgery import constant, values_of


class NarrowFills:
    """Puts scalars in the place of zeros, ones and other fills that are shaped as a tensor of the network is.

    before: x -> Shape -> ConstantOfShape(6) -> c;  Where(x < 6, x, c)        after: Where(x < 6, x, 6)

    A fill is computed from a shape: so it is no constant, and would keep what reads it out of a neuron.
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Rewrite every elementwise node whose other operands are known to have the shape of the fill."""
        record, fills = Record(), dict[str, _Fill]()
        name_dimensions(graph)
        for node in list(graph.nodes):
            fill = _filled(node, fills, graph.opset)
            if fill is None:
                continue
            tensor, scalar = node.outputs[0], constant(f"{node.name}/number", fill.number)
            fills[tensor.name] = fill
            for reader in [reader for reader in tensor.outputs if _widens(reader, tensor, fill.shape)]:
                reader.inputs = [scalar if item is tensor else item for item in reader.inputs]
                record.rewrote.append(reader.name)
        return graph.cleanup().toposort(), record


@dataclass(frozen=True)
class _Fill:
    number: np.ndarray  # a scalar
    shape: Dims


def _filled(node: gs.Node, fills: dict[str, _Fill], opset: int) -> _Fill | None:
    """What ``node`` fills a tensor with, if it does; ``fills`` has those that were found before."""
    if node.domain not in (None, "", "ai.onnx"):
        return None
    if node.op == "ConstantOfShape":
        value = node.attrs.get("value")
        return _fill(np.zeros(1, np.float32) if value is None else np.asarray(value.values), node.inputs[0])
    if node.op == "Expand":
        values = values_of(node.inputs[0])
        return None if values is None else _fill(values, node.inputs[1])
    return _computed(node, fills, opset) if is_elementwise(node.op, node.domain) else None


def _computed(node: gs.Node, fills: dict[str, _Fill], opset: int) -> _Fill | None:
    """What an elementwise operator makes of fills of one shape and of constant scalars."""
    shapes = [fills[tensor.name].shape for tensor in node.inputs if tensor.name in fills]
    operands = [fills[t.name].number if t.name in fills else values_of(t) for t in node.inputs]
    numbers = [number for number in operands if number is not None and number.ndim == 0]
    if not shapes or any(shape != shapes[0] for shape in shapes) or len(numbers) < len(operands):
        return None
    inputs = [constant(f"number{i}", number) for i, number in enumerate(numbers)]
    (number,) = evaluate(gs.Node(node.op, node.name, dict(node.attrs), inputs, [gs.Variable("filled")]), opset)
    return _Fill(np.asarray(number), shapes[0])


def _fill(values: np.ndarray, shape: gs.Tensor) -> _Fill | None:
    dims = shape_contents(shape)
    return None if dims is None or values.size != 1 or values.ndim > len(dims) else _Fill(values.reshape(()), dims)


def _widens(reader: gs.Node, tensor: gs.Tensor, shape: Dims) -> bool:
    """Whether the other operands of ``reader`` bring its output to the size that ``tensor``, of ``shape``, has.

    PRelu does not widen its first operand.
    """
    if reader.op == "PRelu" or not is_elementwise(reader.op, reader.domain):
        return False
    others = [known_shape(item) for item in reader.inputs if item.name and item is not tensor]
    known = [other for other in others if other is not None and len(other) >= len(shape)]
    places = range(-len(shape), 0)
    return bool(known) and all(shape[place] == 1 or any(o[place] == shape[place] for o in known) for place in places)
