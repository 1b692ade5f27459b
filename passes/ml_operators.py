"""Operators of ONNX's machine-learning domain in standard operators: linear models, scalers, and what labels need."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from spikec.passes.errors import UnsupportedNode
from spikec.passes.surgery import append, constant, element_type, values_of

ML_DOMAIN = "ai.onnx.ml"
_POWERS = {"L1": 1, "L2": 2}
_NO_STRINGS = "train it with whole numbers as labels, or take the label from the outputs: model.graph.output.pop(0)"


class Writer:
    """Writes the standard nodes ``<node>/<part>`` that take the place of ``node``."""

    def __init__(self, graph: gs.Graph, node: gs.Node) -> None:
        self.graph, self.node = graph, node

    def add(self, op: str, inputs: Sequence[gs.Tensor], part: str, **attrs: object) -> gs.Variable:
        """Add a node and return its output."""
        return append(self.graph, op, inputs, f"{self.node.name}/{part}", **attrs)

    def array(self, values: object, part: str, kind: type = np.float32) -> gs.Constant:
        """A constant tensor."""
        return constant(f"{self.node.name}/{part}", np.asarray(values, kind))

    def values(self) -> gs.Variable:
        """The node's input in float32: these operators take any number and give float32."""
        return self.add("Cast", [self.node.inputs[0]], "float32", to=onnx.TensorProto.FLOAT)

    def refuse(self, reason: str, way_out: str) -> NoReturn:
        """Raise the error that names the node."""
        raise UnsupportedNode(self.node.name, self.node.op, reason, way_out)


Form = Callable[[Writer], Sequence[gs.Tensor]]


def _scaler(writer: Writer) -> list[gs.Tensor]:
    """(x - offset) * scale."""
    attrs = writer.node.attrs
    centred = writer.add("Sub", [writer.values(), writer.array(attrs.get("offset", [0.0]), "offset")], "centred")
    return [writer.add("Mul", [centred, writer.array(attrs.get("scale", [1.0]), "scale")], "scaled")]


def _normalizer(writer: Writer) -> list[gs.Tensor]:
    """x divided by the norm of its row; a row of zeros stays."""
    norm = str(writer.node.attrs.get("norm", "MAX"))
    if norm not in _POWERS:
        writer.refuse(f"it divides by the row's {norm}, which may be negative or zero", "use the norm l1 or l2")
    return [writer.add("LpNormalization", [writer.values()], "normalised", axis=-1, p=_POWERS[norm])]


def _binarizer(writer: Writer) -> list[gs.Tensor]:
    """1 where x is above the threshold, else 0, in the type of x."""
    x = writer.node.inputs[0]
    kind = np.float64 if element_type(x) == onnx.TensorProto.DOUBLE else np.float32
    above = writer.add("Sub", [x, writer.array(writer.node.attrs.get("threshold", 0.0), "threshold", kind)], "above")
    return [writer.add("Relu", [writer.add("Sign", [above], "sign")], "binary")]


def _linear_regressor(writer: Writer) -> list[gs.Tensor]:
    """The coefficients times x, plus the intercepts."""
    _check_transform(writer, ("NONE",))
    return [_linear(writer, int(writer.node.attrs.get("targets", 1)))]


def _linear_classifier(writer: Writer) -> list[gs.Tensor]:
    """The label with the highest score, and the scores behind the activation that it names."""
    attrs = writer.node.attrs
    if "classlabels_strings" in attrs:
        writer.refuse("its classes are strings", _NO_STRINGS)
    labels = [int(label) for label in attrs["classlabels_ints"]]
    transform = _check_transform(writer, ("NONE", "SOFTMAX", "LOGISTIC"))
    if len(attrs.get("intercepts", labels)) != len(labels):
        writer.refuse("it has one score for two classes", "train it with a score for each class, or use MLPClassifier")
    scores = _linear(writer, len(labels))
    best = writer.add("ArgMax", [scores], "best", axis=1, keepdims=0)
    label = writer.add("Gather", [writer.array(labels, "labels", np.int64), best], "label")
    if transform == "SOFTMAX":
        scores = writer.add("Softmax", [scores], "softmax", axis=1)
    if transform == "LOGISTIC":
        scores = writer.add("Sigmoid", [scores], "logistic")
    return [label, scores]


def _extractor(writer: Writer) -> list[gs.Tensor]:
    """The named columns along the last axis; a vector is a matrix of one row."""
    x, wanted = writer.node.inputs
    if element_type(x) == onnx.TensorProto.STRING:
        writer.refuse("it picks strings", _NO_STRINGS)
    stored = values_of(x)
    if stored is not None and stored.ndim == 1:
        x = writer.array(stored[None], "row", stored.dtype.type)
    index = writer.add("Reshape", [wanted, writer.array([-1], "flat", np.int64)], "index")
    return [writer.add("Gather", [x, index], "picked", axis=-1)]


def _linear(writer: Writer, rows: int) -> gs.Variable:
    attrs = writer.node.attrs
    weights = np.reshape(np.asarray(attrs["coefficients"], np.float32), (rows, -1)).T
    product = writer.add("MatMul", [writer.values(), writer.array(weights, "weights")], "product")
    return writer.add("Add", [product, writer.array(attrs.get("intercepts", [0.0]), "intercepts")], "scores")


def _check_transform(writer: Writer, allowed: Sequence[str]) -> str:
    transform = str(writer.node.attrs.get("post_transform", "NONE"))
    if transform not in allowed:
        writer.refuse(f"its post_transform {transform} has no spiking form", f"use one of {', '.join(allowed)}")
    return transform


FORMS: Mapping[str, Form] = {
    "ArrayFeatureExtractor": _extractor,
    "Binarizer": _binarizer,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
}
