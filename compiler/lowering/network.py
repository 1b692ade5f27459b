"""A level-3 network looked at as neurons, affine segments and readout."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from spikec.passes.graph_io import import_graph
from spikec.passes.operators import NEURON_DOMAIN
from spikec.passes.value_path import ValuePath

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class Neuron:
    """A neuron node of level 3: ``spikec::FUNCTION(values..., parameters..., amplitude, initial) -> output``."""

    name: str
    function: str
    kind: str
    coding: str
    values: tuple[str, ...]
    parameters: tuple[str, ...]
    amplitude: str
    initial: str
    output: str

    @classmethod
    def of(cls, node: onnx.NodeProto) -> "Neuron":
        """Read a neuron node."""
        attrs = {attr.name: onnx.helper.get_attribute_value(attr) for attr in node.attribute}
        *arguments, amplitude, initial = node.input
        count = int(attrs["values"])
        return cls(
            name=node.name,
            function=node.op_type,
            kind=attrs["kind"].decode(),
            coding=attrs["coding"].decode(),
            values=tuple(arguments[:count]),
            parameters=tuple(arguments[count:]),
            amplitude=amplitude,
            initial=initial,
            output=node.output[0],
        )


class Network:
    """What lowering has to know of a level-3 model.

    *timed* tensors change from step to step: they depend on a neuron. Value tensors that do not are constant in time.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.path = ValuePath(import_graph(model))
        self.producer = {name: node for node in self.nodes for name in node.output if name}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.neurons = {node.name: Neuron.of(node) for node in self.nodes if node.domain == NEURON_DOMAIN}
        self.readout = self._readout_closure()
        self.timed = self._timed()

    def timed_positions(self, node: onnx.NodeProto) -> list[int]:
        """Positions of the inputs of ``node`` that change from step to step."""
        if node.op_type in ("Shape", "Size"):
            return []
        return [i for i, name in enumerate(node.input) if name in self.timed]

    def array(self, name: str) -> np.ndarray | None:
        """The value of a constant tensor, or None where it is computed."""
        return onnx.numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    @property
    def core(self) -> Iterable[onnx.NodeProto]:
        """The nodes that are not part of the readout, in topological order."""
        return (node for node in self.nodes if node.name not in self.readout)

    @cached_property
    def boundary(self) -> list[str]:
        """Tensors that the readout or the outputs of the graph take from the network proper, values only."""
        outputs = [output.name for output in self.model.graph.output]
        wanted = [name for node in self.nodes if node.name in self.readout for name in node.input] + outputs
        produced = {name for node in self.nodes if node.name in self.readout for name in node.output}
        return list(dict.fromkeys(n for n in wanted if n in self.path.tensors and n not in produced))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Known shapes: an integer, the name of a dynamic dimension, or None for each axis."""
        graph = self.model.graph
        shapes = {info.name: _shape(info) for info in [*graph.input, *graph.output, *graph.value_info]}
        shapes.update((name, tuple(tensor.dims)) for name, tensor in self.constants.items())
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def _readout_closure(self) -> set[str]:
        """Readout nodes, with the shape arithmetic that hangs on their outputs."""
        names: set[str] = set()
        produced: set[str] = set()
        by_name = self.path.readout
        for node in self.nodes:
            if node.name in by_name or any(name in produced for name in node.input):
                names.add(node.name)
                produced.update(node.output)
        return names

    def _timed(self) -> set[str]:
        timed: set[str] = set()
        for node in self.nodes:
            if node.name in self.readout or node.op_type in ("Shape", "Size"):
                continue
            if node.domain == NEURON_DOMAIN or any(name in timed for name in node.input):
                timed.update(name for name in node.output if name)
        return timed & self.path.tensors


def unread_by_neurons(network: Network) -> set[str]:
    """The neurons whose output goes through weights before another neuron, the readout or an output reads it."""
    read = {name for neuron in network.neurons.values() for name in (*neuron.values, *neuron.parameters)}
    read |= set(network.boundary)
    return {neuron.name for neuron in network.neurons.values() if neuron.output not in read}


def _shape(info: onnx.ValueInfoProto) -> Shape | None:
    if not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in dims)
