"""A small model around one operator of ONNX: what the compiler makes of it is what it makes of the operator."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.defs import OpSchema

NEWEST = onnx.defs.onnx_opset_version()
FLOAT = "tensor(float)"
_SIDE, _MANY = 4, 3  # size of a probe's axes, tensors of a variadic input
_SHAPE: list[str | int | None] = ["N", _SIDE, _SIDE, _SIDE]
_TENSOR = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
# what a probe feeds where it has no values; in this order, the first that the input takes
_FED = {
    "optional(tensor(float))": helper.make_optional_type_proto(_TENSOR),
    "seq(tensor(float))": helper.make_sequence_type_proto(_TENSOR),
    FLOAT: _TENSOR,
    **{
        f"tensor({name})": helper.make_tensor_type_proto(kind, [None])
        for name, kind in (("int64", 7), ("int32", 6), ("bool", 9), ("uint8", 2), ("string", 8))
    },
}


def is_variadic(schema: OpSchema) -> bool:
    """Whether its last input may come several times."""
    return any(p.option == OpSchema.FormalParameterOption.Variadic for p in schema.inputs)


def inputs_of(schema: OpSchema) -> list[OpSchema.FormalParameter]:
    """The inputs of a node by position, a variadic one several times."""
    return list(schema.inputs) * _MANY if is_variadic(schema) else list(schema.inputs)


def probe(schema: OpSchema, values: Sequence[int]) -> onnx.ModelProto:
    """A model of the operator with values at these positions of its inputs, and weights behind it."""
    inputs, fed = inputs_of(schema), []
    stored = [numpy_helper.from_array(np.ones((), np.float32), "unit")]
    given = [i for i, p in enumerate(inputs) if i in values or i < schema.min_input or p.types == {"tensor(int64)"}]
    for i in given:
        kind, made = next((item for item in _FED.items() if item[0] in inputs[i].types), ("", None))
        if i in values:
            fed.append(helper.make_tensor_value_info(f"input{i}", TensorProto.FLOAT, _SHAPE))
        elif made is not None and (i == 0 or not kind.startswith("tensor") or kind == "tensor(string)"):
            fed.append(helper.make_value_info(f"input{i}", made))
        else:
            stored.append(numpy_helper.from_array(_parameter(kind), f"input{i}"))
    names = [f"input{i}" if i in given else "" for i in range(max(given, default=-1) + 1)]
    return _model(_node(schema, names), fed, stored)


def _parameter(kind: str) -> np.ndarray:
    """Integers are axes: the last one."""
    if kind == "tensor(int64)":
        return np.full(1, -1, np.int64)
    return np.ones(_SIDE, np.float32 if kind == FLOAT else kind[len("tensor(") : -1] or np.int8)


def _node(schema: OpSchema, names: list[str]) -> onnx.NodeProto:
    """The node, the attributes that it cannot do without set to ones."""
    made: dict[str, Any] = {"INT": 1, "INTS": [2, 2], "FLOAT": 1.0, "FLOATS": [1.0], "STRING": "", "STRINGS": [""]}
    attrs = {name: made[str(attr.type).rpartition(".")[2]] for name, attr in schema.attributes.items() if attr.required}
    if schema.name == "Constant":  # one of its attributes, whichever, is required
        attrs["value_float"] = 1.0
    outputs = [f"output{i}" for i in range(max(schema.min_output, 1))]
    return helper.make_node(schema.name, names, outputs, "op", **attrs)


def _model(node: onnx.NodeProto, fed: list[onnx.ValueInfoProto], stored: list[onnx.TensorProto]) -> onnx.ModelProto:
    """``node`` beside a neuron, with weights behind both."""
    weights = helper.make_node("Einsum", [node.output[0], "unit"], ["weighted"], "weights", equation="...,->...")
    total = helper.make_node("ReduceSum", ["weighted"], ["y"], "sum", keepdims=0)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", _SIDE])
    beside = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("MatMul", ["r", "w"], ["z"])]
    w = numpy_helper.from_array(np.ones((_SIDE, 1), np.float32), "w")
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 1])
    graph = helper.make_graph([*beside, node, weights, total], "probe", [x, *fed], [y, z], [w, *stored])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", NEWEST)])
