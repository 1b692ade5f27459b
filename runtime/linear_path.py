"""The linear path from the events of the last neurons to the class scores, found in an artifact's graphs."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto, helper

from spikec.runtime.errors import InputError
from spikec.runtime.event_sizes import EventSizes, Sizes
from spikec.runtime.manifest import State
from spikec.runtime.parts import OWN_DOMAIN, Parts
from spikec.runtime.score_scale import find_score_scale

# linear in input 0 while the others are numbers that do not change
_FIRST = frozenset(
    {"AveragePool", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Expand", "Flatten", "Gather", "GlobalAveragePool",
     "Identity", "Neg", "Pad", "ReduceMean", "ReduceSum", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze",
     "Tile", "Transpose", "Unsqueeze"}
)  # fmt: skip
_ONE = frozenset({"Gemm", "MatMul", "Mul"})  # linear in input 0 or 1 while the other does not change
_JOINT = frozenset({"Add", "Concat", "Mean", "Sub", "Sum"})  # linear in all inputs together
_WAY_OUT = "use the rule stability or margin"


@dataclass(frozen=True)
class LinearPath:
    """How the class scores change: by ``nodes`` applied to the events of ``sources``.

    Attributes:
        scores: the tensor of the scores after a step.
        change: the tensor of what a step adds to them; None where nothing does.
        sources: the neurons whose events reach the scores without passing another neuron.
        nodes: between the events and ``change``, in order.
        held: tensors that do not change and that ``nodes`` read.
        scale, offset: what the readout multiplies the scores by and adds to them, () or (classes,).
    """

    scores: str
    change: str | None = None
    sources: tuple[Sizes, ...] = ()
    nodes: tuple[NodeProto, ...] = ()
    held: tuple[str, ...] = ()
    scale: np.ndarray = field(default_factory=lambda: np.ones(()))
    offset: np.ndarray = field(default_factory=lambda: np.zeros(()))


def find_linear_path(parts: Parts, output: str) -> LinearPath:
    """The path to the scores behind ``output``.

    Raises:
        InputError: the readout may change the order of the classes, scores forget, or they are not linear in events of
            known sizes; the message names the node.
    """
    scores, *affine = find_score_scale(parts, _before_order_counts(parts, output))
    _check_reached(parts, scores, output)
    state = next((state for state in parts.manifest.states if state.final == scores), None)
    if state is None:
        return LinearPath(scores, None, (), (), (), *affine)
    change = _change(parts, state)
    nodes, events = _between(parts, change)
    held = _check_linear(parts, nodes, events)
    sizes = EventSizes(parts)
    return LinearPath(state.next, change, tuple(sizes.of(name) for name in events), tuple(nodes), held, *affine)


def _before_order_counts(parts: Parts, name: str) -> str:
    """The tensor nearest to the network whose order of classes is that of the output ``name``."""
    makers = {output: node for node in parts.readout for output in node.output if output}
    while name in makers and _keeps_order(makers[name], name):
        name = str(makers[name].input[0])
    return name


def _check_reached(parts: Parts, scores: str, output: str) -> None:
    """Whether ``scores`` come from the network itself."""
    node = next((node for node in parts.readout if scores in node.output), None)
    if node is not None:
        raise InputError(
            f"node '{node.name}' ({node.op_type}) between the network and the output '{output}' is not known to keep "
            f"the order of the classes; {_WAY_OUT}"
        )


def _keeps_order(node: NodeProto, output: str) -> bool:
    """Whether the class with the largest number in a row (N, classes) stays the first."""
    attrs = {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}
    if node.op_type == "ArgMax":
        return attrs.get("axis", 0) in (1, -1)
    if node.op_type == "TopK":  # its values have lost the classes
        best = attrs.get("largest", 1) and attrs.get("sorted", 1)
        return bool(best) and attrs.get("axis", -1) in (1, -1) and output == node.output[1]
    if node.op_type in ("Softmax", "LogSoftmax"):
        return attrs.get("axis", -1) in (1, -1)
    return node.op_type == "Identity"


def _change(parts: Parts, state: State) -> str:
    """What a step adds to ``state``."""
    events = {neuron.event for neuron in parts.manifest.neurons}
    node = next(node for node in parts.step if state.next in node.output)
    if node.op_type == "Add" and node.domain == "" and list(node.input).count(state.name) == 1:
        return next(str(name) for name in node.input if name != state.name)
    for event in node.output:
        if event in events and EventSizes(parts).remembers(node, state.name, state.next, event):
            return str(event)
    raise InputError(
        f"node '{node.name}' ({node.op_type}) does more than add up what arrives (scores forget under the dynamics "
        f"{parts.manifest.raw.get('dynamics')}), so that nothing bounds their change; {_WAY_OUT}"
    )


def _between(parts: Parts, change: str) -> tuple[list[NodeProto], list[str]]:
    """The nodes that ``change`` depends on, back to the events that they start from."""
    wanted, nodes = {change}, []
    for node in reversed(parts.step):
        if not node.domain.startswith(OWN_DOMAIN) and any(name in wanted for name in node.output):
            nodes.append(node)
            wanted.update(name for name in node.input if name)
    return nodes[::-1], [neuron.event for neuron in parts.manifest.neurons if neuron.event in wanted]


def _check_linear(parts: Parts, nodes: list[NodeProto], events: Collection[str]) -> tuple[str, ...]:
    """The held tensors that ``nodes`` read, all other things than events being numbers that never change."""
    still = {tensor.name for tensor in parts.constants}
    shapes = _free_of_values(parts).intersection(parts.manifest.held)
    changing = set(events)
    for node in nodes:
        timed = [i for i, name in enumerate(node.input) if name in changing]
        for name in node.input:
            if name and name not in changing | still | shapes:
                raise _refusal(node, f"reads '{name}', which changes with time or differs from sample to sample")
        if node.op_type in ("Shape", "Size") or not timed:
            still.update(node.output)
        elif _is_linear(node, timed):
            changing.update(name for name in node.output if name)
        else:
            raise _refusal(node, "is not known to be linear in the events")
    read = {name for node in nodes for name in node.input}
    return tuple(name for name in parts.manifest.held if name in read)


def _is_linear(node: NodeProto, timed: list[int]) -> bool:
    if node.domain:
        return False
    if node.op_type in _FIRST:
        return timed == [0]
    if node.op_type in _ONE:
        return timed in ([0], [1], [0, 2], [1, 2], [2])
    return node.op_type in _JOINT


def _free_of_values(parts: Parts) -> set[str]:
    """What the init graph computes from shapes and constants alone."""
    free = {tensor.name for tensor in parts.constants}
    for node in parts.init:
        plain = not any(attr.HasField("g") for attr in node.attribute) and not node.op_type.startswith("Random")
        if node.op_type in ("Shape", "Size") or (plain and all(not name or name in free for name in node.input)):
            free.update(name for name in node.output if name)
    return free


def _refusal(node: NodeProto, reason: str) -> InputError:
    return InputError(f"node '{node.name}' ({node.op_type}) behind the last neurons {reason}; {_WAY_OUT}")
