"""How large a neuron's events can be, read from the body of its function."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from spikec.runtime.errors import InputError
from spikec.runtime.parts import CLOCK, Parts


@dataclass(frozen=True)
class Sizes:
    """An event of a neuron at step t is at most eta[t] * amplitude: ``eta`` (T,), ``amplitude`` as in the artifact."""

    event: str
    eta: np.ndarray
    amplitude: np.ndarray


class EventSizes:
    """Finds the sizes of the events of an artifact's neurons."""

    def __init__(self, parts: Parts) -> None:
        self.constants = {tensor.name: tensor for tensor in parts.constants}
        self.functions = {(function.domain, function.name): function for function in parts.functions}
        self.makers = {name: node for node in parts.step for name in node.output if name}

    def of(self, event: str) -> Sizes:
        """The sizes of the events of that name.

        Raises:
            InputError: they have no bound that the artifact tells.
        """
        node = self.makers[event]
        function = self.functions[node.domain, node.op_type]
        bodies = {name: inner for inner in function.node for name in inner.output}
        factors = _factors(function.output[list(node.output).index(event)], bodies)
        actual = dict(zip(function.input, node.input, strict=False))
        tables = [self._table(actual[name]) for name in factors if name in actual]
        sizes = [self._constant(actual[name]) for name in factors if name in actual]
        eta = next((table for table in tables if table is not None), None)
        amplitude = next((size for size in sizes if size is not None), None)
        if eta is None or amplitude is None:
            raise InputError(
                f"neuron '{node.name}' ({node.op_type}) sends events that have no bound in the artifact and reach the "
                "output directly; use the rule stability or margin"
            )
        return Sizes(event, np.abs(eta), np.abs(amplitude))

    def remembers(self, node: NodeProto, state: str, after: str, event: str) -> bool:
        """Whether the neuron's state ``after`` the step is what it was plus the event, nothing being forgotten."""
        function = self.functions[node.domain, node.op_type]
        formals = dict(zip(function.output, node.output, strict=False))
        actual = {**dict(zip(function.input, node.input, strict=False)), **formals}
        made = next((n for n in function.node for name in n.output if formals.get(name) == after), None)
        return made is not None and made.op_type == "Add" and {actual.get(n) for n in made.input} == {state, event}

    def _table(self, name: str) -> np.ndarray | None:
        """eta(t), where ``name`` is this step's entry of a table."""
        node = self.makers.get(name)
        if node is None or node.op_type != "Gather" or node.input[1] != CLOCK:
            return None
        table = self._constant(node.input[0])
        return table if table is not None and table.ndim == 1 else None

    def _constant(self, name: str) -> np.ndarray | None:
        if name not in self.constants:
            return None
        return np.asarray(numpy_helper.to_array(self.constants[name])).astype(np.float64)


def _factors(name: str, makers: dict[str, NodeProto]) -> frozenset[str]:
    """The two inputs of the function that the size of ``name`` is the product of; empty where it is no such product."""
    found = _sizes(name, makers)
    return next(iter(found)) if found is not None and len(found) == 1 else frozenset()


def _sizes(name: str, makers: dict[str, NodeProto]) -> set[frozenset[str]] | None:
    """All products that ``name`` may be, apart from the sign and from zero; None where it may be something else."""
    node = makers.get(name)
    if node is None:
        return None
    if node.op_type == "Mul" and node.domain == "":
        return {frozenset(node.input)}
    if node.op_type in ("Neg", "Identity"):
        return _sizes(node.input[0], makers)
    if node.op_type == "Where":
        yes, no = (_sizes(item, makers) for item in node.input[1:])
        return None if yes is None or no is None else yes | no
    return set() if _is_zero(node) else None


def _is_zero(node: NodeProto) -> bool:
    if node.op_type != "Constant" or node.attribute[0].name != "value":
        return False
    return not numpy_helper.to_array(helper.get_attribute_value(node.attribute[0])).any()
