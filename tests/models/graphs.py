"""Helpers for tests of rewrites: models from ONNX text, one pass run on them, outputs compared in onnxruntime."""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper

from spikec.onnx_session import run_model
from spikec.passes import Record
from spikec.passes.graph_io import export_model, import_graph
from spikec.shape_inference import infer_shapes

Arrays = Mapping[str, np.ndarray]
Rewrite = Callable[[gs.Graph], tuple[gs.Graph, Record]]


def parse(graph: str, opset: int = 20, **constants: np.ndarray) -> onnx.ModelProto:
    """The model of a graph in ONNX's text form; those of ``constants`` that it reads become its initializers."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": {opset}]> {graph}')
    read = _names_read(model.graph)
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items() if name in read]
    model.graph.initializer.extend(tensors)
    return infer_shapes(model)


def _names_read(graph: onnx.GraphProto) -> set[str]:
    """What nodes and outputs read, those of inner graphs included, and nothing made or given inside."""
    names = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    inner = [attr.g for node in graph.node for attr in node.attribute if attr.HasField("g")]
    made = {name for node in graph.node for name in node.output} | {info.name for info in graph.input}
    return names.union(*(_names_read(part) for part in inner)) - made


def with_ranks(model: onnx.ModelProto, feeds: Arrays) -> onnx.ModelProto:
    """The model with outputs of open dimensions, as many as a run on ``feeds`` shows."""
    values = run_model(model, feeds)
    for output in model.graph.output:
        dims = [f"{output.name}{i}" for i in range(values[output.name].ndim)]
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, output.type.tensor_type.elem_type, dims))
    return model


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Seeded standard normal numbers in float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    """A vector of int64: axes, shapes, pads."""
    return np.array(values, np.int64)


def scalar(value: float) -> np.ndarray:
    """A float32 scalar."""
    return np.array(value, np.float32)


def run_pass(rewrite: Rewrite, model: onnx.ModelProto) -> tuple[onnx.ModelProto, Record]:
    """The rewritten model, checked for validity, and the record; ``model`` itself is left as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, record = rewrite(import_graph(copy))
    rewritten = infer_shapes(export_model(graph))
    onnx.checker.check_model(rewritten)
    return rewritten, record


def same_outputs(before: onnx.ModelProto, after: onnx.ModelProto, feeds: Arrays, tolerance: float = 1e-5) -> None:
    """Assert that both models give the same outputs: names, types, shapes, values."""
    expected, found = run_model(before, feeds), run_model(after, feeds)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


def keeps_outputs(rewrite: Rewrite, model: onnx.ModelProto, feeds: Arrays) -> tuple[onnx.ModelProto, Record]:
    """``run_pass``, with the outputs compared."""
    rewritten, record = run_pass(rewrite, model)
    same_outputs(model, rewritten, feeds)
    return rewritten, record


def operators(model: onnx.ModelProto) -> list[str]:
    """Operators of the graph, sorted, one entry a node; ``spikec.f`` and ``spikec`` nodes with their domain."""
    return sorted(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in model.graph.node)


def count(model: onnx.ModelProto, op: str) -> int:
    """How many nodes of operator ``op`` the graph has."""
    return Counter(node.op_type for node in model.graph.node)[op]


def reasons(record: Record) -> dict[str, str]:
    """Why each skipped node was skipped."""
    return {skip.node: skip.reason for skip in record.skipped}


def initializer(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The array of an initializer."""
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)
