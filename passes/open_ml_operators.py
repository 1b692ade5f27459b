"""ONNX's machine-learning domain, which scikit-learn's exporter writes, opened into standard operators."""

import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.ml_operators import FORMS, ML_DOMAIN, Writer
from spikec.passes.records import Record

_CATEGORIES = ("it encodes categories", "encode them before the network and export the steps behind the encoder")
_TREES = ("decision trees choose between branches; they have no spiking form", "convert a neural or a linear model")
_KERNELS = ("a kernel machine has no spiking form", "convert a neural or a linear model")
_IMPUTER = ("a spiking network takes no missing values", "fill them in before it and export the steps behind this one")
_ZIPMAP = (
    "it makes dictionaries of the outputs, which are no tensors",
    "export with the option zipmap=False: skl2onnx.to_onnx(model, X, options={'zipmap': False})",
)
_REASONS = {
    "Imputer": _IMPUTER,
    "SVMClassifier": _KERNELS,
    "SVMRegressor": _KERNELS,
    "TreeEnsemble": _TREES,
    "TreeEnsembleClassifier": _TREES,
    "TreeEnsembleRegressor": _TREES,
    "ZipMap": _ZIPMAP,
    **dict.fromkeys(("CastMap", "CategoryMapper", "DictVectorizer", "LabelEncoder", "OneHotEncoder"), _CATEGORIES),
}
_OTHER = (f"operator of the domain {ML_DOMAIN}, which has no spiking form", "export with standard operators")


class OpenMlOperators:
    """Opens scalers, linear models, thresholds and the choice of columns or labels.

    before: x -> ai.onnx.ml::Scaler(offset, scale) -> y        after: x -> Sub(offset) -> Mul(scale) -> y
    """

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every node of the domain.

        Raises:
            UnsupportedNode: for the first that has no form in standard operators.
        """
        record = Record()
        graph.cleanup()  # what no output needs is no reason to refuse a model
        for node in [node for node in graph.nodes if node.domain == ML_DOMAIN]:
            if node.op not in FORMS:
                raise UnsupportedNode(node.name, node.op, *_REASONS.get(node.op, _OTHER))
            outputs, results = list(node.outputs), FORMS[node.op](Writer(graph, node))
            node.outputs.clear()
            for output, result in zip(outputs, results, strict=True):
                _take(graph, output, result)
            record.rewrote.append(node.name)
        graph.import_domains = [entry for entry in graph.import_domains or [] if entry.domain != ML_DOMAIN]
        return graph.cleanup().toposort(), record


def _take(graph: gs.Graph, output: gs.Tensor, result: gs.Tensor) -> None:
    """Let ``result`` be known as ``output``, an output of the opened node."""
    if result.outputs:  # it is read inside the opened form too
        graph.nodes.append(gs.Node("Identity", f"{output.name}/wire", {}, [result], [output]))
    else:
        result.inputs[0].outputs = [output]
