"""Synaptic operations: what the events of a network cost, beside the multiply-accumulates of the trained one."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx

from spikec.errors import ModelError
from spikec.ledger.operations import usual_macs
from spikec.onnx_session import Feeds, run_model, with_outputs
from spikec.passes.operators import NEURON_DOMAIN

_COUNTED = ("Conv", "Gemm", "MatMul")
_WITH_WEIGHTS = (*_COUNTED, "ConvTranspose", "Einsum", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True)
class Weights:
    """An operator with weights: its multiply-accumulates for one sample, and the neuron nodes whose events reach it.

    ``sources`` gives each of them the share of the operator's input that its events can reach.
    """

    name: str
    macs: float
    sources: Mapping[str, float]


@dataclass(frozen=True)
class Synapses:
    """The operators with weights of a level-3 network, and its neuron nodes in topological order.

    An operator that receives r events per neuron does r times its multiply-accumulates, as additions (rate x MACs, the
    usual estimate); where several neuron nodes meet in a sum, each event counts. Operators that only the input reaches
    run once, before the first step, and what a neuron computes inside (a softmax row, a norm, a product of two
    activations) is no synapse: neither counts, and the latter is left out of the multiply-accumulates too.
    """

    weights: tuple[Weights, ...]
    neurons: tuple[str, ...]

    @classmethod
    def of(cls, model: onnx.ModelProto, sample: Feeds) -> "Synapses":
        """Look at a level-3 ``model``; ``sample`` is one sample under the name of each input.

        Raises:
            ModelError: an operator has weights that this does not count.
        """
        nodes = _with_weights(model)
        joins = [node for node in model.graph.node if node.op_type == "Concat"]
        shapes = _shapes(model, sample, [name for node in [*nodes, *joins] for name in [*node.input, *node.output]])
        sources = _sources(model, {name: prod(shape) for name, shape in shapes.items()})
        found = (Weights(node.name, float(usual_macs(node, shapes)), _reaching(node, sources)) for node in nodes)
        return cls(tuple(found), tuple(node.name for node in model.graph.node if node.domain == NEURON_DOMAIN))

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the trained network's operators with weights, for one sample."""
        return sum(weights.macs for weights in self.weights)

    def operations(self, events: Mapping[str, float]) -> float:
        """Synaptic operations for one sample, from each node's events per neuron (mean over neurons, all steps)."""
        return sum(w.macs * sum(share * events[name] for name, share in w.sources.items()) for w in self.weights)


def _with_weights(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) > 1}
    nodes = [n for n in model.graph.node if n.op_type in _WITH_WEIGHTS and matrices.intersection(n.input)]
    for node in nodes:
        if node.op_type not in _COUNTED:
            raise ModelError(f"node '{node.name}': synaptic operations of {node.op_type} are not counted")
    return nodes


def _shapes(model: onnx.ModelProto, sample: Feeds, names: list[str]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor for one sample; of the computed ones, those of type float32."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    floats = {info.name for info in model.graph.value_info if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    floats |= {info.name for info in model.graph.output}
    computed = [name for name in dict.fromkeys(names) if name in floats]
    values = run_model(with_outputs(model, computed), sample, computed) if computed else {}
    return shapes | {name: value.shape for name, value in {**sample, **values}.items()}


def _sources(model: onnx.ModelProto, sizes: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Tensor -> neuron nodes whose events reach it without another neuron in between, with the share they reach."""
    found: dict[str, dict[str, float]] = {}
    for node in model.graph.node:
        if node.domain == NEURON_DOMAIN:
            reached = {node.name: 1.0}
        elif node.op_type in ("Shape", "Size"):
            reached = {}
        else:
            reached = _joined(node, found, sizes) if node.op_type == "Concat" else _reaching(node, found)
        found |= {name: reached for name in node.output}
    return found


def _reaching(node: onnx.NodeProto, sources: Mapping[str, dict[str, float]]) -> dict[str, float]:
    shares = [share for name in node.input for share in sources.get(name, {}).items()]
    return {source: max(share for name, share in shares if name == source) for source, _ in shares}


def _joined(
    node: onnx.NodeProto, sources: Mapping[str, dict[str, float]], sizes: Mapping[str, int]
) -> dict[str, float]:
    """Of a Concat: the events of each input reach its own part of the output."""
    if not any(sources.get(name) for name in node.input):
        return {}
    shares: dict[str, float] = {}
    total = sum(sizes[name] for name in node.input)
    for name in node.input:
        for source, share in sources.get(name, {}).items():
            shares[source] = shares.get(source, 0.0) + share * sizes[name] / total
    return shares
