"""In which type and order scans give what they give, as suits those who read it."""

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import NamedTuple

from onnx import NodeProto, helper

from spikec.runtime.layers.folding import MATRIX, MOVES
from spikec.runtime.layers.loop import Order
from spikec.runtime.layers.plan import Fold, Plan, Stage


class Forms(NamedTuple):
    """Of outputs of scans: those in the type of matrix products, and the order of axes in memory of others."""

    low: Set[str] = frozenset()
    orders: Mapping[str, Order] = {}


def forms(plan: Plan, wanted: Set[str], constants: Set[str], *, ordered: bool) -> Forms:
    """What suits the stages of a plan.

    Args:
        plan: all stages.
        wanted: tensors that are given to the outside, as they are.
        constants: names of tensors that are the same for all samples.
        ordered: whether scans can give any order.
    """
    return Forms(lowered(plan, wanted), _orders(plan, wanted, constants) if ordered else {})


def lowered(plan: Plan, wanted: Set[str]) -> set[str]:
    """The tensors that only matrix products read, or what moves elements on to matrix products: of lower precision.

    They are given in it by the scans that make them, with the same values as converted later.
    """
    low = {name for stage in plan.stages for name in stage.outputs if name not in wanted}
    for stage in reversed(plan.stages):
        if isinstance(stage, Fold) and stage.kind == "fold":
            operators = {node.op_type for node in stage.nodes}
            if operators <= MATRIX or (operators <= MOVES and low.issuperset(stage.outputs)):
                continue
        if not isinstance(stage, Fold) or stage.kind != "shape":
            low -= _read(stage)
    return low


def _orders(plan: Plan, wanted: Set[str], constants: Set[str]) -> dict[str, Order]:
    """Orders that save a copy of all steps.

    A product of two activations takes batches that lie one behind the other; its matrices may be transposed. What is
    transposed and then reshaped is best written transposed.
    """
    readers: dict[str, list[Stage]] = defaultdict(list)
    for stage in (stage for stage in plan.stages if not (isinstance(stage, Fold) and stage.kind == "shape")):
        for name in _read(stage):
            readers[name].append(stage)
    found: dict[str, Order] = {}
    for name in (name for stage in plan.stages for name in stage.outputs if name not in wanted):
        nodes = [_only_node(stage) for stage in readers[name]]
        if nodes and all(node and node.op_type == "MatMul" and constants.isdisjoint(node.input) for node in nodes):
            found[name] = "product"
        elif len(nodes) == 1 and nodes[0] and nodes[0].op_type == "Transpose":
            then = [_only_node(stage) for stage in readers[nodes[0].output[0]]]
            if then and all(node and node.op_type == "Reshape" for node in then):
                found[name] = _permutation(nodes[0])
    return found


def _read(stage: Stage) -> set[str]:
    """The tensors that the stage reads from others."""
    made = {name for node in stage.nodes for name in node.output}
    return {name for node in stage.nodes for name in node.input} - made


def _only_node(stage: Stage) -> NodeProto | None:
    return stage.nodes[0] if isinstance(stage, Fold) and stage.kind == "fold" and len(stage.nodes) == 1 else None


def _permutation(node: NodeProto) -> Order:
    given = [helper.get_attribute_value(entry) for entry in node.attribute if entry.name == "perm"]
    return tuple(given[0]) if given else None
