"""Calls of model-local functions replaced by the functions' nodes."""

from collections.abc import Mapping, Sequence

from onnx import FunctionProto, NodeProto

from spikec.runtime.torch_values import function_body

Functions = Mapping[tuple[str, str], FunctionProto]


def flatten(nodes: Sequence[NodeProto], functions: Functions, keep: str | None = None) -> list[NodeProto]:
    """``nodes`` with calls replaced, at any depth, by what they call; calls of the domain ``keep`` stay as they are.

    Inner tensors get the name of the call's first output in front, so that names stay unique.
    """
    flat: list[NodeProto] = []
    for node in nodes:
        function = None if node.domain == keep else functions.get((node.domain, node.op_type))
        flat += [node] if function is None else flatten(_opened(node, function), functions, keep)
    return flat


def _opened(call: NodeProto, function: FunctionProto) -> list[NodeProto]:
    names = dict.fromkeys(function.input, "") | dict(zip(function.input, call.input, strict=False))
    names |= dict(zip(function.output, call.output, strict=False))
    prefix = f"{next(name for name in call.output if name)}//"
    return [_renamed(node, names, prefix) for node in function_body(function, call)]


def _renamed(node: NodeProto, names: Mapping[str, str], prefix: str) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{prefix}{node.name}"
    copy.input[:] = [names.get(name, f"{prefix}{name}") if name else "" for name in node.input]
    copy.output[:] = [names.get(name, f"{prefix}{name}") if name else "" for name in node.output]
    return copy
