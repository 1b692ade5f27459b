"""What becomes of every operator of ONNX, as a table in Markdown: ``python -m spikec.operator_table``.

The tables and functions that the compiler itself uses are asked. Where they know nothing of an operator, a model with
nothing but it in the middle is planned.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper, numpy_helper
from onnx.defs import OpSchema

from spikec.canonical import OLDEST_OPSET
from spikec.errors import ModelError
from spikec.passes.operators import CONTROL_FLOW, is_affine, neuron_kind, settings_are_affine
from spikec.passes.place_neurons import STRICT_KINDS, why_no_neuron
from spikec.passes.value_path import ValuePath
from spikec.planning import Fate, plan
from spikec.runtime.torch_ops import OPERATORS

HEADER = ("operator", "opset", "linear in", "neuron", "strict", "otherwise")
ABOUT = f"""# The operators

What becomes of every operator of ONNX's standard domain, each in its newest version. `python -m spikec.operator_table`
writes this file; it asks the compiler. Made with onnx {onnx.__version__}, which knows opset \
{onnx.defs.onnx_opset_version()}; models of opset {OLDEST_OPSET} and newer are taken.

- *linear in*: the operator carries spikes if these inputs depend on the values of the network's input, and no others.
- *neuron*: the kind of neuron that holds it if other inputs do. *unary*, *binary*, *many*: elementwise in one, two or
  more tensors; *row*, *window*: a neuron sees a row or a window; *product*: of two tensors.
- *strict*: what granularity strict makes of that neuron: it stays as it is, or is opened into such.
- *otherwise*: what else can become of it.

Not in the table, because it holds for all: an operator none of whose inputs depends on the network's input is computed
at compile time, one that reads shapes or integer inputs only is computed once, before the first step. A nonlinearity
with no weights behind it is the *readout*, computed in float on the finished output: so what is refused here is refused
inside a network only, but for control flow, values that are no tensors, and withdrawn operators.
"""
# settings that may spoil what an operator is otherwise -> what has to be said then
SETTINGS: dict[str, tuple[dict[str, int], str]] = {
    "Cast": ({"to": onnx.TensorProto.INT64}, "to float32 only"),
    "BatchNormalization": ({"training_mode": 1}, "not in training"),
}
_KINDS = ("tensor(float)", "tensor(int64)", "tensor(int32)", "tensor(bool)", "tensor(uint8)", "tensor(string)")
_FLOAT, _SIDE, _MANY = "tensor(float)", 4, 3  # element type of values, size of a probe's axes, tensors of a variadic


@dataclass(frozen=True)
class Row:
    """What becomes of one operator; the cells of a line of the table."""

    operator: str
    opset: int
    linear: str
    neuron: str
    strict: str
    otherwise: str


def schemas() -> list[OpSchema]:
    """The newest version of every operator of the standard domain."""
    return sorted((s for s in onnx.defs.get_all_schemas() if s.domain == ""), key=lambda schema: str(schema.name))


def row_of(schema: OpSchema) -> Row:
    """The line of one operator."""
    linear, kinds = _linear(schema), _kinds(schema)
    otherwise = _rest(schema) if linear or kinds else _fate(schema)
    if schema.support_level != OpSchema.SupportType.COMMON:
        otherwise = f"{otherwise} (experimental in ONNX)".strip()
    return Row(schema.name, schema.since_version, linear, ", ".join(kinds), _strict(schema, kinds), otherwise)


def markdown() -> str:
    """The whole document."""
    rows = [row_of(schema) for schema in schemas()]
    lines = [[str(cell).replace("|", "\\|") for cell in astuple(row)] for row in rows]
    table = [" | ".join(line) for line in [list(HEADER), ["---"] * len(HEADER), *lines]]
    return f"{ABOUT}\n" + "".join(f"| {line} |\n".replace("  ", " ") for line in table)


def _positions(schema: OpSchema) -> range:
    """Positions of a node's inputs, a few for a variadic one."""
    variadic = any(p.option == OpSchema.FormalParameterOption.Variadic for p in schema.inputs)
    return range(_MANY if variadic else len(schema.inputs))


def _input(schema: OpSchema, position: int) -> OpSchema.FormalParameter:
    return schema.inputs[min(position, len(schema.inputs) - 1)]


def _choices(schema: OpSchema) -> list[tuple[int, ...]]:
    """Every choice of inputs that may carry values, of which are those that float tensors can be given to."""
    able = [i for i in _positions(schema) if _FLOAT in _input(schema, i).types]
    return [choice for size in range(1, len(able) + 1) for choice in combinations(able, size)]


def _linear(schema: OpSchema) -> str:
    """In which inputs together the operator is linear: the largest such choices."""
    affine = [set(choice) for choice in _choices(schema) if is_affine(schema.name, choice)]
    largest = [choice for choice in affine if not any(choice < other for other in affine)]
    if largest and largest[0] == set(_positions(schema)) and len(schema.inputs) == 1 and len(largest[0]) > 1:
        return "all inputs"
    names = [" and ".join(_input(schema, i).name for i in sorted(choice)) for choice in largest]
    variadic = len(schema.inputs) < len(_positions(schema))
    said = "one input" if variadic and names else " or ".join(names)
    attrs, note = SETTINGS.get(schema.name, ({}, ""))
    return f"{said}, {note}" if note and not settings_are_affine(gs.Node(schema.name, attrs=attrs)) else said


def _kinds(schema: OpSchema) -> list[str]:
    """Kinds of neurons that hold the operator, those of the fewest inputs first."""
    choices = [choice for choice in _choices(schema) if not is_affine(schema.name, choice)]
    found = [neuron_kind(gs.Node(schema.name), choice) for choice in choices]
    return list(dict.fromkeys(kind for kind in found if kind))


def _rest(schema: OpSchema) -> str:
    """The single inputs in which an operator of the tables is neither linear nor a neuron."""
    lone = [choice[0] for choice in _choices(schema) if len(choice) == 1]
    node = gs.Node(schema.name)
    bad = [i for i in lone if not is_affine(schema.name, {i}) and not neuron_kind(node, {i})]
    names = ", ".join(_input(schema, i).name for i in bad)
    return f"refused where only {names} depends on values".replace("only", "one of", len(bad) > 1) if bad else ""


def _strict(schema: OpSchema, kinds: Sequence[str]) -> str:
    if not set(kinds) - STRICT_KINDS:
        return "as it is" if kinds else ""
    many = "many" in kinds
    fate = _planned(schema, [i for i in _positions(schema) if many or i == 0], "strict")
    opened = "opened" if fate.detail.startswith("opened") else _said(fate)
    return f"opened where it is {', '.join(sorted(set(kinds) - STRICT_KINDS))}" if set(kinds) & STRICT_KINDS else opened


def _fate(schema: OpSchema) -> str:
    """What becomes of an operator that is in no table."""
    if schema.deprecated:
        return f"refused: withdrawn from ONNX in opset {schema.since_version}"
    if schema.name in CONTROL_FLOW:
        refusal = why_no_neuron(gs.Node(schema.name), ValuePath(gs.Graph())) or ()
        return f"refused: {'; '.join(refusal)}"
    able = [i for i in _positions(schema) if _FLOAT in _input(schema, i).types]
    return _said(_planned(schema, able[:1]))


def _said(fate: Fate) -> str:
    if fate.fate == "unsupported":
        return f"refused: {fate.detail}"
    backend = "" if fate.op in OPERATORS or "wire" in fate.detail else "; by the backend onnxruntime only"
    return f"{fate.detail}{backend}"


def _planned(schema: OpSchema, values: Sequence[int], granularity: str = "composite") -> Fate:
    try:
        nodes = plan(probe(schema, values), granularity=granularity).nodes
    except ModelError as error:
        return Fate("op", schema.name, "unsupported", re.sub(r"^(node|input) '\w+'( \(\w+\))?: ", "", str(error)))
    return next(node for node in nodes if node.name == "op")


def probe(schema: OpSchema, values: Sequence[int]) -> onnx.ModelProto:
    """A model of the operator with float tensors at the positions ``values`` and weights behind it."""
    fed, stored, names = [], [numpy_helper.from_array(np.float32(1), "unit")], []
    for i in _positions(schema):
        kind = next((kind for kind in _KINDS if kind in _input(schema, i).types), "")
        needed = i < schema.min_input or i in values or kind == "tensor(int64)"
        names.append(f"input{i}" if needed else "")
        if i in values or (needed and (i == 0 or not kind or "string" in kind)):
            fed.append(_info(names[-1], kind, 4 if i in values else 1))
        elif needed:
            stored.append(numpy_helper.from_array(_parameter(kind), names[-1]))
    attrs = {name: _setting(attr) for name, attr in schema.attributes.items() if attr.required}
    outputs = [f"output{i}" for i in range(max(schema.min_output, 1))]
    nodes = [helper.make_node(schema.name, names, outputs, "op", **attrs, **_SPECIAL.get(schema.name, {}))]
    return _model(nodes, fed, stored)
