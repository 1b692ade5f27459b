"""Between ONNX files and graphsurgeon graphs, with what graphsurgeon's own export leaves out."""

import gc
from collections.abc import Iterable, Iterator

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN

G_LOGGER.severity = G_LOGGER.ERROR  # its warnings are about the surgery, not about the user's model
LARGE = 2**27  # bytes of constants from which on an earlier graph too many is felt
IR_VERSION = 10  # the newest that goes with opset 20; every onnxruntime since 1.18 reads it


def import_graph(model: onnx.ModelProto) -> gs.Graph:
    """A graphsurgeon graph of ``model``, its nodes in topological order and each with a name of its own."""
    if sum(tensor.ByteSize() for tensor in model.graph.initializer) > LARGE:
        # nodes and tensors of a graph refer to each other: an earlier one keeps its weights until Python looks for
        # such rings, which it does by their number and not by their bytes
        gc.collect()
    graph = gs.import_onnx(model)
    name_nodes(graph)
    return graph.toposort()


def name_nodes(graph: gs.Graph) -> None:
    """Give every node a unique name: errors, records and neurons are told by it."""
    bases = [node.name or (node.outputs[0].name if node.outputs else node.op) for node in graph.nodes]
    for node, name in zip(graph.nodes, unique_names(bases), strict=True):
        node.name = name


def unique_names(bases: Iterable[str]) -> Iterator[str]:
    """Each of ``bases``, with a number behind it where it is taken."""
    taken: set[str] = set()
    for base in bases:
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        yield name


def export_model(graph: gs.Graph) -> onnx.ModelProto:
    """An ONNX model of ``graph``: same opset, IR 10, the project's function domains imported."""
    domains = {"": graph.opset}
    for other in graph.import_domains or []:
        if other.domain not in ("", "ai.onnx"):
            domains[other.domain] = other.version
    for function in graph.functions:
        domains[function.domain] = 1
        function.opset = graph.opset
        function.import_domains = _imports({"": graph.opset, FUNCTION_DOMAIN: 1, NEURON_DOMAIN: 1})
    model: onnx.ModelProto = gs.export_onnx(graph, opset_imports=_imports(domains))
    model.ir_version = max(IR_VERSION, graph.ir_version or 0) if graph.opset > 20 else IR_VERSION
    return model


def _imports(domains: dict[str, int]) -> list[onnx.OperatorSetIdProto]:
    return [onnx.helper.make_opsetid(domain, version) for domain, version in domains.items()]
