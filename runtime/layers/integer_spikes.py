"""Spikes as integers: what products of events and constant weights need of a step graph.

An event of a neuron is s * eta(t) * a, s being -1, 0 or 1. So a product with the weights W is eta(t) * (W a) s, where
W a is known beforehand and s takes a byte: hardware with integer products has it many times faster than in float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from onnx import FunctionProto, NodeProto, TensorProto, helper

from spikec.runtime.layers.integer_products import Product, product_of
from spikec.runtime.parts import OWN_DOMAIN, Parts

Tensor = torch.Tensor
DOMAIN = "spikec.integer"  # of products that take codes
_CODED = "/coded"  # function of a neuron that gives codes, too
_SIZES = {"eta", "amplitude"}


@dataclass(frozen=True)
class IntegerSpikes:
    """A step graph in which products take codes: ``parts``, and by its first output each ``product``.

    ``codes``: event -> the tensor that holds s + 1 of the same spikes, for those that such a product reads.
    """

    parts: Parts
    products: Mapping[str, Product]
    codes: Mapping[str, str]


def with_integer_spikes(parts: Parts, constants: Mapping[str, Tensor], planes: int) -> IntegerSpikes:
    """``parts`` with integer products wherever events meet constant weights straight away.

    Args:
        parts: the artifact.
        constants: its constants by name, floats.
        planes: of 8 bits for each weight; 0 leaves everything as it is.
    """
    senders = _senders(parts, constants) if planes else {}
    step: list[NodeProto] = []
    products: dict[str, Product] = {}
    codes: dict[str, str] = {}
    for node in parts.step:
        sender = senders.get(node.input[0]) if node.input else None
        product = product_of(node, constants, sender.amplitude, planes) if sender else None
        if sender is None or product is None:
            step.append(node)
            continue
        codes[node.input[0]] = f"{node.input[0]}{_CODED}"
        made = [f"{node.output[0]}/plane{i}" for i in range(planes)]
        products[made[0]] = product
        step += _integer_product(node, codes[node.input[0]], made, sender.eta)
    functions = {(f.domain, f.name): f for f in parts.functions}
    step = [_coded(node, functions, codes) for node in step]
    extended = [_with_code(f) for f in parts.functions if any(_calls(node, f) for node in step)]
    return IntegerSpikes(replace(parts, step=step, functions=[*parts.functions, *extended]), products, codes)


@dataclass(frozen=True)
class _Sender:
    """What an event's size is made of: the name of its eta, and its amplitude."""

    eta: str
    amplitude: Tensor


def _senders(parts: Parts, constants: Mapping[str, Tensor]) -> dict[str, _Sender]:
    """By event: the neurons whose events are s * eta * a."""
    functions = {(f.domain, f.name): f for f in parts.functions}
    events = {neuron.event for neuron in parts.manifest.neurons}
    found = {}
    for node in parts.step:
        function = functions.get((node.domain, node.op_type))
        if function is None or node.domain != OWN_DOMAIN or not _sends_signs(function):
            continue
        given = dict(zip(function.input, node.input, strict=True))
        event = dict(zip(function.output, node.output, strict=False)).get("d")
        if event in events and given["amplitude"] in constants:
            found[event] = _Sender(given["eta"], constants[given["amplitude"]])
    return found


def _sends_signs(function: FunctionProto) -> bool:
    """Whether the event d is chosen among eta * amplitude, its negative and zero."""
    made = {name: node for node in function.node for name in node.output}
    if not _SIZES.issubset(function.input) or "d" not in made:
        return False
    waiting, leaves = ["d"], set()
    while waiting:
        node = made.get(waiting.pop())
        if node is not None and node.op_type == "Where":
            waiting += node.input[1:]
        else:
            leaves.add((node.op_type, frozenset(node.input)) if node is not None else ("", frozenset()))
    return leaves <= {("Mul", frozenset(_SIZES)), ("Neg", frozenset({"size"})), ("Constant", frozenset())}


def _integer_product(node: NodeProto, code: str, made: Sequence[str], eta: str) -> list[NodeProto]:
    """The product of codes with each plane; their sum, the smallest first, times eta(t), which a scan takes in."""
    total = f"{node.output[0]}/planes" if made[1:] else made[0]
    product = helper.make_node(node.op_type, [code], made, name=node.name, domain=DOMAIN)
    adding = helper.make_node("Sum", made[::-1], [total], name=f"{node.name}/planes")
    scaling = helper.make_node("Mul", [total, eta], [node.output[0]], name=f"{node.name}/eta")
    return [product, adding, scaling] if made[1:] else [product, scaling]


def _coded(node: NodeProto, functions: Mapping[tuple[str, str], FunctionProto], codes: Mapping[str, str]) -> NodeProto:
    """A neuron's call with its code among the outputs, if it is wanted."""
    wanted = [codes[name] for name in node.output if name in codes]
    if not wanted:
        return node
    outputs = [*node.output, *[""] * (len(functions[node.domain, node.op_type].output) - len(node.output)), *wanted]
    return helper.make_node(f"{node.op_type}{_CODED}", node.input, outputs, name=node.name, domain=node.domain)


def _calls(node: NodeProto, function: FunctionProto) -> bool:
    return (node.domain, node.op_type) == (function.domain, f"{function.name}{_CODED}")


def _with_code(function: FunctionProto) -> FunctionProto:
    """The neuron's function with one output more: sign(d) + 1, as a byte without sign, which is what hardware takes."""
    copy = FunctionProto()
    copy.CopyFrom(function)
    copy.name += _CODED
    copy.output.append("code")
    one = helper.make_tensor("code/one", TensorProto.FLOAT, [], [1.0])
    copy.node.extend(
        [
            helper.make_node("Constant", [], ["code/one"], value=one),
            helper.make_node("Sign", ["d"], ["code/sign"]),
            helper.make_node("Add", ["code/sign", "code/one"], ["code/from zero"]),
            helper.make_node("Cast", ["code/from zero"], ["code"], to=TensorProto.UINT8),
        ]
    )
    return copy
