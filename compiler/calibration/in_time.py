"""A level-3 network taken through its time steps one neuron after the other: what layer-wise calibration looks at.

x(t) = A(v(t)) holds always (exactness), so a neuron's input at every step follows from what the neurons before it have
sent: nothing of the network behind a neuron has to be known to run it through all its steps.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import torch
from onnx import helper

from spikec.lowering.network import Network, Neuron
from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN
from spikec.runtime.torch_graph import TorchGraph
from spikec.runtime.torch_values import constants_from

Tensor = torch.Tensor
Course = list[Tensor]  # a tensor's value in the ANN, then after each step; one entry alone where time changes nothing
Fire = Callable[[Neuron, list[Course]], list[Course]]  # one course a batch


class NetworkInTime:
    """Runs a level-3 network in float32 as ANN and, beside it, as SNN through all steps."""

    def __init__(self, network: Network) -> None:
        """Resolve every node of ``network`` outside its readout."""
        self.network = network
        constants = constants_from(network.model.graph.initializer, torch.float32, "cpu")
        functions = {(f.domain, f.name): f for f in network.model.functions}
        self.nodes = list(network.core)
        self.graphs = {node.name: _single(_as_function(node, network), constants, functions) for node in self.nodes}
        self.uses = Counter(name for graph in self.graphs.values() for name in graph.inputs)

    def run(self, batches: Sequence[Mapping[str, np.ndarray]], fire: Fire) -> dict[str, list[Course]]:
        """The courses of the tensors that readout and outputs take, for each of the ``batches`` of inputs.

        ``fire`` is told each neuron in topological order with the courses of its f, and returns those of its output
        (each begins with the ANN's value, which is that of f).
        """
        return self._walk(batches, fire)[0]

    def peak_bytes(self, batch: Mapping[str, np.ndarray]) -> int:
        """The most that all tensors of the ANN, needed at once, take up for one batch."""
        return self._walk([batch], lambda neuron, courses: courses)[1]

    @torch.inference_mode()
    def _walk(self, batches: Sequence[Mapping[str, np.ndarray]], fire: Fire) -> tuple[dict[str, list[Course]], int]:
        values = {n: [[torch.from_numpy(np.asarray(b[n]))] for b in batches] for n in batches[0]}
        left = self.uses + Counter(self.network.boundary)
        peak = 0
        for node in self.nodes:
            graph = self.graphs[node.name]
            results = [_through_time(graph, {n: values[n][b] for n in graph.inputs}) for b in range(len(batches))]
            values |= {name: [result[name] for result in results] for name in graph.outputs}
            if node.domain == NEURON_DOMAIN:
                values[node.output[0]] = fire(self.network.neurons[node.name], values[node.output[0]])
            peak = max(peak, sum(t.nbytes for courses in values.values() for course in courses for t in course))
            for name in graph.inputs:
                left[name] -= 1
                if not left[name]:
                    del values[name]
        return {name: values[name] for name in self.network.boundary if name in values}, peak


def distance(outputs: dict[str, list[Course]]) -> float:
    """Relative L2 distance of the outputs after the last step from the ANN's, over all outputs and batches."""
    pairs = [(course[0].double(), course[-1].double()) for courses in outputs.values() for course in courses]
    error = sum(float(((last - ann) ** 2).sum()) for ann, last in pairs)
    return float((error / max(sum(float((ann**2).sum()) for ann, _ in pairs), 1e-30)) ** 0.5)


def _through_time(graph: TorchGraph, inputs: Mapping[str, Course]) -> dict[str, Course]:
    length = max((len(course) for course in inputs.values()), default=1)
    steps = [graph({n: c[t] if len(c) > 1 else c[0] for n, c in inputs.items()}) for t in range(length)]
    return {name: [step[name] for step in steps] for name in graph.outputs}


def _as_function(node: onnx.NodeProto, network: Network) -> onnx.NodeProto:
    """A neuron as its f; any other node as it is."""
    if node.domain != NEURON_DOMAIN:
        return node
    neuron = network.neurons[node.name]
    arguments = [*neuron.values, *neuron.parameters]
    return helper.make_node(neuron.function, arguments, [neuron.output], name=node.name, domain=FUNCTION_DOMAIN)


def _single(
    node: onnx.NodeProto, constants: Mapping[str, Tensor], functions: Mapping[tuple[str, str], onnx.FunctionProto]
) -> TorchGraph:
    known = {name: constants[name] for name in node.input if name in constants}
    return TorchGraph([node], [name for name in node.output if name], known, functions)
