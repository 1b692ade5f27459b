"""The passes before the neurons, run to their end although they refuse nodes: planning wants to know of them all."""

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from spikec.errors import ModelError
from spikec.passes import Pass, Record, UnsupportedNode
from spikec.passes.graph_io import export_model, import_graph
from spikec.shape_inference import infer_shapes

HIDDEN = "spikec.refused"  # domain of refused nodes while a pass runs: it looks at standard operators only


@dataclass
class Trial:
    """A model on its way through the passes, what they did, and what they refused: nodes and inputs by their names."""

    model: onnx.ModelProto
    records: list[Record] = field(default_factory=list)
    refused: dict[str, UnsupportedNode] = field(default_factory=dict)

    def run(self, rewrite: Pass) -> None:
        """Run one pass; what it refuses is noted and left as it is."""
        result = None
        while result is None:
            result = self._attempt(rewrite)
        graph, record = result
        for node in graph.nodes:
            if node.domain == HIDDEN:
                node.domain = None
        self.model = infer_shapes(export_model(graph))
        self.records.append(record)

    def _attempt(self, rewrite: Pass) -> tuple[gs.Graph, Record] | None:
        """What the pass gives, or None where it refused something more."""
        graph = import_graph(self.model)
        self._hide_refused(graph)
        try:
            return rewrite(graph)
        except UnsupportedNode as error:
            if error.node in self.refused:  # hiding it was of no use
                raise ModelError(str(error)) from error
            self.refused[error.node] = error
            return None

    def _hide_refused(self, graph: gs.Graph) -> None:
        for node in graph.nodes:
            if node.name in self.refused:
                node.domain = HIDDEN
        for tensor in graph.inputs:
            if tensor.name in self.refused:  # its type was in the way
                tensor.dtype = np.float32
