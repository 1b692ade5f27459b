"""From ONNX values to torch ones: tensors, element types, node attributes, function attributes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from spikec.runtime.errors import ArtifactError

_FLOAT_TYPES = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16})
_EXACT_TYPES: dict[int, torch.dtype] = {
    TensorProto.BOOL: torch.bool,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.UINT32: torch.uint32,
    TensorProto.UINT64: torch.uint64,
}


class Attrs(dict[str, Any]):
    """Decoded attributes of one node, with the float type and the device its kernel has to produce."""

    def __init__(self, values: Mapping[str, Any], dtype: torch.dtype, device: torch.device) -> None:
        """Hold `values` by attribute name; strings are str, tensors are torch tensors."""
        super().__init__(values)
        self.dtype = dtype
        self.device = device


def torch_type(onnx_type: int, dtype: torch.dtype) -> torch.dtype | None:
    """The torch type of an ONNX element type: `dtype` for every float of 16 bits or more, None if there is none."""
    return dtype if onnx_type in _FLOAT_TYPES else _EXACT_TYPES.get(onnx_type)


def place(tensor: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`, converted to `dtype` if it is floating point; integers and bools keep their type."""
    return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)


def tensor_from(proto: TensorProto, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """One ONNX tensor as a torch tensor; ArtifactError where its element type has no torch counterpart."""
    target = torch_type(proto.data_type, dtype)
    if target is None:
        known = proto.data_type in TensorProto.DataType.values()
        kind = TensorProto.DataType.Name(proto.data_type) if known else proto.data_type
        raise ArtifactError(f"tensor {proto.name!r} has element type {kind}, which the evaluator cannot hold")
    try:
        array = numpy_helper.to_array(proto)
    except ValueError as error:
        raise ArtifactError(f"tensor {proto.name!r} is damaged: {error}") from error
    if proto.data_type == TensorProto.BFLOAT16:  # numpy has no bfloat16 of its own, float32 holds it exactly
        array = array.astype(np.float32)
    return torch.from_numpy(np.array(array)).to(device, target)


def constants_from(
    initializers: Iterable[TensorProto], dtype: torch.dtype, device: torch.device | str
) -> dict[str, torch.Tensor]:
    """Initializers by name, floats of any width converted to `dtype`, all placed on `device`."""
    return {proto.name: tensor_from(proto, dtype, torch.device(device)) for proto in initializers}


def decode_attributes(node: NodeProto, dtype: torch.dtype, device: torch.device) -> Attrs:
    """Attributes of `node` as Python values (str, int, float, lists of them) and torch tensors."""
    return Attrs({entry.name: _decode(entry, dtype, device) for entry in node.attribute}, dtype, device)


def function_body(function: FunctionProto, call: NodeProto) -> list[NodeProto]:
    """Nodes of `function` with attribute references replaced by the call's attributes or the function's defaults."""
    given = {entry.name: entry for entry in function.attribute_proto}
    given |= {entry.name: entry for entry in call.attribute}
    return [_substitute(node, given) for node in function.node]


def _decode(entry: AttributeProto, dtype: torch.dtype, device: torch.device) -> object:
    value: Any = helper.get_attribute_value(entry)
    if entry.type == AttributeProto.STRING:
        return value.decode()
    if entry.type == AttributeProto.STRINGS:
        return [item.decode() for item in value]
    if entry.type == AttributeProto.TENSOR:
        return tensor_from(value, dtype, device)
    return list(value) if entry.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value


def _substitute(node: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    if not any(entry.ref_attr_name for entry in node.attribute):
        return node
    bound = NodeProto()
    bound.CopyFrom(node)
    del bound.attribute[:]
    for entry in node.attribute:
        # A reference to an attribute nobody gives stands for the operator's own default: it is dropped.
        source = given.get(entry.ref_attr_name) if entry.ref_attr_name else entry
        if source is not None:
            bound.attribute.append(source)
            bound.attribute[-1].name = entry.name
    return bound


def narrowed(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` without the repetitions that expanding gave it."""
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if size > 1 and not stride:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor
