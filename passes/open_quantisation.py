"""Quantised activations become staircases in float32, or are left out."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.quantised_path import QuantisedPath, is_standard, origin
from spikec.passes.quantiser import Quantiser, read_quantiser
from spikec.passes.records import Record
from spikec.passes.surgery import append, constant, element_type, is_output

_FLOAT = onnx.TensorProto.FLOAT
Step = tuple[str, list[np.ndarray]]  # an operator and its operands behind the first


class OpenQuantisation:
    """Opens QuantizeLinear and DequantizeLinear of activations; those of weights were folded before.

    before: x -> QuantizeLinear -> q (uint8) -> DequantizeLinear -> y
    after:  x -> Div(scale) -> Round -> Mul(scale) -> Clip((low - zero) * scale, (high - zero) * scale) -> y

    Bit by bit the same: rounding keeps the order of products. A pair behind an equal one, with elements at most moved
    in between, is a wire: quantisation tools put a pair around every Slice. Where the integers are moved (Reshape...),
    read with another scale, or given out, they stay what they are, as whole numbers in float32:

    before: x -> QuantizeLinear -> MaxPool (uint8) -> DequantizeLinear -> y
    after:  x -> Div -> Round -> Add(zero) -> Clip(low, high) -> MaxPool (float32) -> Sub(zero) -> Mul(scale) -> y

    ``mode`` "drop" leaves rounding and saturation out: the outputs change. A quantiser whose smallest integer stands
    for 0 still clips: it holds the Relu (or Relu6) before it, which quantisation tools put into its range.
    """

    def __init__(self, mode: str = "staircase") -> None:
        self.rounds = mode == "staircase"

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every node of the two operators that is left.

        Raises:
            UnsupportedNode: the quantiser is no staircase of fixed steps, or something computes with its integers.
        """
        record, path = Record(), QuantisedPath(graph)
        for node in list(graph.nodes):
            if is_standard(node, "QuantizeLinear"):
                self._open_quantiser(graph, node, path, record)
            elif is_standard(node, "DequantizeLinear"):
                said = read_quantiser(node)
                _write(graph, node, [*_shifted("Sub", said), ("Mul", [said.scale])])
                record.rewrote.append(node.name)
            elif path.carries(node):
                path.widen(node)
        return graph.cleanup().toposort(), record

    def _open_quantiser(self, graph: gs.Graph, node: gs.Node, path: QuantisedPath, record: Record) -> None:
        said = read_quantiser(node)
        if self.rounds and not np.isfinite(said.low):
            way_out = "quantise to int8, or compile with --quantisation drop"
            raise UnsupportedNode(
                node.name, node.op, "its type is no integer: its steps are not all of one size", way_out
            )
        record.rewrote.append(node.name)
        output = node.outputs[0]
        if not _is_pair(graph, output, said):
            path.add(output)
            _write(graph, node, self._levels(said))
            return
        readers, before = list(output.outputs), path.quantisers.get(origin(node.inputs[0]).name)
        path.quantisers[output.name] = said
        output.dtype = readers[0].outputs[0].dtype
        _write(graph, node, [] if before is not None and said.keeps(before) else self._staircase(said))
        for reader in readers:
            reader.op, reader.inputs, reader.attrs = "Identity", [output], {}
            record.absorbed[reader.outputs[0].name] = node.name

    def _staircase(self, said: Quantiser) -> list[Step]:
        """x, rounded to a multiple of the scale, within the range."""
        bounds = [np.asarray(np.float32(end) - said.zero) * said.scale for end in (said.low, said.high)]
        if self.rounds:
            return [("Div", [said.scale]), ("Round", []), ("Mul", [said.scale]), *_clipped(*bounds)]
        return _clipped(*bounds) if said.clips_negatives else []

    def _levels(self, said: Quantiser) -> list[Step]:
        """The integers themselves."""
        ends = [np.asarray(np.full_like(said.zero, end)) for end in (said.low, said.high)]
        clipped = _clipped(*ends) if self.rounds or said.clips_negatives else []
        rounded: list[Step] = [("Round", [])] if self.rounds else []
        return [("Div", [said.scale]), *rounded, *_shifted("Add", said), *clipped]


def _is_pair(graph: gs.Graph, quantised: gs.Tensor, said: Quantiser) -> bool:
    """Whether all that reads the integers turns them back into the same numbers, of one type."""
    readers = quantised.outputs
    if not readers or is_output(graph, quantised) or not all(is_standard(r, "DequantizeLinear") for r in readers):
        return False
    same_type = len({element_type(reader.outputs[0]) for reader in readers}) == 1
    return same_type and all(read_quantiser(reader).undoes(said) for reader in readers)


def _shifted(op: str, said: Quantiser) -> list[Step]:
    return [(op, [said.zero])] if said.zero.any() else []


def _clipped(low: np.ndarray, high: np.ndarray) -> list[Step]:
    """ONNX's Clip takes scalars only."""
    return [("Clip", [low, high])] if not low.ndim else [("Max", [low]), ("Min", [high])]


def _write(graph: gs.Graph, node: gs.Node, steps: Sequence[Step]) -> None:
    """Put the chain of ``steps``, computed in float32, in the place of ``node``; the last operator has its name."""
    x, output = node.inputs[0], node.outputs[0]
    kind = element_type(output)
    node.outputs.clear()
    if element_type(x) != _FLOAT:
        x = append(graph, "Cast", [x], f"{node.name}/float32", to=_FLOAT)
    for op, operands in steps:
        name = f"{node.name}/{op.lower()}"
        constants = [constant(f"{name}_{i}", values) for i, values in enumerate(operands)]
        x = append(graph, op, [x, *constants], name)
        x.dtype = np.float32
    if kind not in (0, _FLOAT):
        x = append(graph, "Cast", [x], f"{node.name}/narrow", to=kind)
    if x is node.inputs[0]:
        x = append(graph, "Identity", [x], node.name)
    x.inputs[0].name, x.inputs[0].outputs = node.name, [output]
