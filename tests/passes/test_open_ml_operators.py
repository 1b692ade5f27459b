import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spikec.passes import OpenMlOperators, UnsupportedNode
from tests.models.graphs import keeps_outputs, normal, operators, run_pass

X = normal(5, 3)
ROWS = np.array([[3, -4, 0], [0, 0, 0], [-1, -2, -3]], np.float32)  # one of zeros, one without a positive value


def model_of(op, outputs=("y",), element=TensorProto.FLOAT, picked=None, given_out=None, **attrs):
    """One node of the domain between an input (N, 3) and the outputs; ``picked`` are initializers it reads too.

    ``given_out`` are those of its outputs that are the model's (None: all).
    """
    picked = picked or {}
    names = list(picked) if "x" in picked else ["x", *picked]
    node = helper.make_node(op, names, outputs, name="node", domain="ai.onnx.ml", **attrs)
    given = [] if "x" in picked else [helper.make_tensor_value_info("x", element, ["N", 3])]
    kinds = {"label": TensorProto.INT64}
    made = [
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in given_out or outputs
    ]
    stored = [numpy_helper.from_array(values, name) for name, values in picked.items()]
    graph = helper.make_graph([node], "g", given, made, stored)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def opened(model, x=X):
    """The rewritten model, its outputs compared with those that onnxruntime gives for the domain's own operators."""
    rewritten, record = keeps_outputs(OpenMlOperators(), model, {"x": x})
    assert record.rewrote == ["node"]
    assert {entry.domain for entry in rewritten.opset_import} == {""}
    return rewritten


@pytest.mark.parametrize(("offset", "scale"), [([0.5, -1.0, 2.0], [2.0, 0.5, 0.0]), ([1.0], [3.0])])
def test_a_scaler_of_columns_or_of_all(offset, scale):
    rewritten = opened(model_of("Scaler", offset=offset, scale=scale))
    assert operators(rewritten) == ["Cast", "Mul", "Sub"]


@pytest.mark.parametrize("element", [TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32])
def test_a_scaler_takes_other_numbers_and_gives_float32(element):
    x = (10 * X).astype(helper.tensor_dtype_to_np_dtype(element))
    opened(model_of("Scaler", offset=[1.0], scale=[0.5], element=element), x)


@pytest.mark.parametrize("norm", ["L1", "L2"])
@pytest.mark.parametrize("x", [X, ROWS])
def test_a_normalizer_divides_by_the_norm_of_the_row(norm, x):
    assert "LpNormalization" in operators(opened(model_of("Normalizer", norm=norm), x))


@pytest.mark.parametrize("attrs", [{}, {"norm": "MAX"}])
def test_a_normalizer_by_the_maximum_is_refused(attrs):
    with pytest.raises(UnsupportedNode, match=r"node 'node'.*the row's MAX.*use the norm l1 or l2"):
        run_pass(OpenMlOperators(), model_of("Normalizer", **attrs))


@pytest.mark.parametrize("threshold", [0.0, -2.0, 3.0])
def test_a_binarizer_is_zero_at_its_threshold(threshold):
    opened(model_of("Binarizer", threshold=threshold), ROWS)


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("intercepts", [True, False])
def test_a_linear_regressor(targets, intercepts):
    attrs = {"coefficients": [0.5, -1.0, 2.0, 1.0, 0.0, 3.0][: 3 * targets], "targets": targets}
    if intercepts:
        attrs["intercepts"] = [0.25, -0.5][:targets]
    opened(model_of("LinearRegressor", **attrs))


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize("given_out", [("label", "scores"), ("label",), ("scores",)])
def test_a_linear_classifier_gives_labels_and_scores(transform, given_out):
    rewritten = opened(classifier(given_out=given_out, post_transform=transform))
    assert ("ArgMax" in operators(rewritten)) == ("label" in given_out)


def classifier(**attrs):
    coefficients = [1.0, 0.0, -1.0, 0.5, 2.0, -1.0, -0.5, -2.0, 1.0]
    settings = {"intercepts": [0.1, -0.2, 0.3], "classlabels_ints": [7, -3, 12], **attrs}
    return model_of("LinearClassifier", ("label", "scores"), coefficients=coefficients, **settings)


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"post_transform": "PROBIT"}, "post_transform PROBIT has no spiking form; use one of NONE, SOFTMAX"),
        ({"intercepts": [0.1], "classlabels_ints": [0, 1]}, "one score for two classes; train it"),
        ({"classlabels_strings": ["a", "b", "c"]}, "its classes are strings; train it with whole numbers"),
    ],
)
def test_a_linear_classifier_that_is_refused(attrs, reason):
    with pytest.raises(UnsupportedNode, match=reason):
        run_pass(OpenMlOperators(), classifier(**attrs))


@pytest.mark.parametrize("columns", [[2, 0], [1]])
@pytest.mark.parametrize("shape", [(-1,), (1, -1)])
def test_columns_are_picked(columns, shape):
    opened(model_of("ArrayFeatureExtractor", picked={"columns": np.reshape(np.array(columns, np.int64), shape)}))


def test_a_label_is_picked_from_a_vector_by_computed_numbers():
    nodes = [
        helper.make_node("ArgMax", ["x"], ["best"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["labels", "best"], ["label"], name="node", domain="ai.onnx.ml"),
    ]
    model = model_of("Scaler", ["label"])
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array([5, -2, 9], np.int64), "labels"))
    opened(model)


def test_strings_are_refused_unless_no_output_needs_them():
    model = model_of("ArrayFeatureExtractor", picked={"x": np.array(["a", "b"], object), "i": np.array([0])})
    with pytest.raises(UnsupportedNode, match="it picks strings; train it with whole numbers as labels"):
        run_pass(OpenMlOperators(), model)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    model.graph.node.append(helper.make_node("Constant", [], ["z"], value_float=1.0))
    assert operators(run_pass(OpenMlOperators(), model)[0]) == ["Constant"]


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("ZipMap", r"dictionaries of the outputs.*options=\{'zipmap': False\}"),
        ("TreeEnsembleClassifier", "decision trees.*convert a neural or a linear model"),
        ("SVMClassifier", "kernel machine"),
        ("Imputer", "no missing values; fill them in before"),
        ("LabelEncoder", "it encodes categories; encode them before the network"),
        ("FeatureVectorizer", "operator of the domain ai.onnx.ml, which has no spiking form"),
    ],
)
def test_every_other_operator_is_refused_with_its_reason(op, reason):
    with pytest.raises(UnsupportedNode, match=rf"node 'node' \({op}\): .*{reason}"):
        run_pass(OpenMlOperators(), model_of(op))


def test_other_domains_are_left_alone():
    model = model_of("Scaler")
    model.graph.node[0].domain = ""
    model.graph.node[0].op_type = "Relu"
    rewritten, record = run_pass(OpenMlOperators(), model)
    assert record.rewrote == []
    assert operators(rewritten) == ["Relu"]
    assert not onnx.checker.check_model(rewritten)
