"""What becomes of every operator of ONNX, as a table in Markdown: ``python -m spikec.operator_table``.

The tables and functions that the compiler itself uses are asked. Of an operator that is in none of them, a model with
that operator in the middle is planned.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import combinations
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto
from onnx.defs import OpSchema

from spikec.canonical import OLDEST_OPSET
from spikec.errors import ModelError
from spikec.operator_probe import FLOAT, NEWEST, inputs_of, is_variadic, probe
from spikec.passes.open_quantised_arithmetic import OPENED
from spikec.passes.operators import CONTROL_FLOW, is_affine, is_inside_only, neuron_kind, settings_are_affine
from spikec.passes.place_neurons import STRICT_KINDS, why_no_neuron
from spikec.passes.value_path import ValuePath
from spikec.planning import Fate, plan
from spikec.runtime.torch_ops import OPERATORS
from spikec.spelling import OPERATORS as SPELLED_OUT

HEADER = ("operator", "opset", "linear in", "neuron", "strict", "otherwise")
ABOUT = f"""# The operators

What becomes of every operator of ONNX's standard domain, each in its newest version. `python -m spikec.operator_table`
writes this file by asking the compiler. Made with onnx {onnx.__version__}, which knows opset {NEWEST}; models may be
of any opset from {OLDEST_OPSET} on. What to do about a refusal is said by `spikec plan MODEL`.

- *linear in*: the operator carries spikes where these inputs, and no others, depend on the network's input.
- *neuron*: the kind of neuron that holds it where others do. *unary*, *binary*, *many*: elementwise in one, two or more
  tensors; *row*, *window*: each element of the output needs a row or a window of the input; *product*: of two tensors.
- *strict*: whether granularity strict has that neuron as it is, or opens it into elementwise ones.
- *otherwise*: what else becomes of it. What compares, chooses or casts is *inside* a neuron together with all that its
  booleans or integers are made of and decide, where that is elementwise in two tensors at most; else it is refused.

What holds for all operators is not in the table. One that no value reaches is computed at compile time, or once before
the first step. A nonlinearity without weights behind it is a *readout*, computed in float on the finished output: so
what is refused for having no spiking form, or for being a selection, is refused inside the network only.
"""
INSIDE = "inside an elementwise neuron"
# settings that spoil what an operator is otherwise -> what has to be said of it
SETTINGS: dict[str, tuple[dict[str, int], str]] = {
    "Cast": ({"to": TensorProto.INT64}, "to float32"),
    "BatchNormalization": (
        {"training_mode": 1},
        "not in training; folded into a Conv or Gemm before it",
    ),
}
# what a probe, whose parameters are vectors, does not show
QUANTISED: dict[str, str] = {
    "DequantizeLinear": "opened into Sub and Mul, of weights computed at compile time",
    **{name: f"opened into DequantizeLinear, {op} and QuantizeLinear" for name, (op, _) in OPENED.items()},
}


@dataclass(frozen=True)
class Row:
    """What becomes of one operator: the cells of a line of the table."""

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
    if is_inside_only(schema.name, schema.domain):
        otherwise = f"{INSIDE}; {otherwise}" if linear and otherwise else INSIDE
    if schema.support_level != OpSchema.SupportType.COMMON:
        otherwise = f"{otherwise} (experimental in ONNX)".strip()
    return Row(schema.name, schema.since_version, linear, ", ".join(kinds), _strict(schema, kinds), otherwise)


def markdown() -> str:
    """The whole document."""
    cells = [HEADER, ("---",) * len(HEADER), *(astuple(row_of(schema)) for schema in schemas())]
    return f"{ABOUT}\n" + "".join(f"| {' | '.join(map(str, line))} |\n" for line in cells)


def _able(schema: OpSchema) -> list[int]:
    """Positions of the inputs that take float tensors."""
    return [i for i, parameter in enumerate(inputs_of(schema)) if FLOAT in parameter.types]


def _choices(schema: OpSchema) -> list[tuple[int, ...]]:
    """Every choice of inputs that may carry values."""
    able = _able(schema)
    return [choice for size in range(1, len(able) + 1) for choice in combinations(able, size)]


def _linear(schema: OpSchema) -> str:
    """In which inputs together the operator is linear: the largest such choices."""
    affine = [set(choice) for choice in _choices(schema) if is_affine(schema.name, choice)]
    largest = [choice for choice in affine if not any(choice < other for other in affine)]
    names = [" and ".join(inputs_of(schema)[i].name for i in sorted(choice)) for choice in largest]
    if is_variadic(schema) and largest:
        names = ["all inputs" if len(largest[0]) > 1 else "any one input"]
    attrs, note = SETTINGS.get(schema.name, ({}, ""))
    spoilt = names and not settings_are_affine(gs.Node(schema.name, attrs=attrs))
    return (", or " if " and " in "".join(names) else " or ").join(names) + (f" ({note})" if spoilt and note else "")


def _kinds(schema: OpSchema) -> list[str]:
    """Kinds of neurons that hold the operator, those of the fewest inputs first."""
    choices = [choice for choice in _choices(schema) if not is_affine(schema.name, choice)]
    found = [neuron_kind(gs.Node(schema.name), choice) for choice in choices]
    return list(dict.fromkeys(kind for kind in found if kind))


def _rest(schema: OpSchema) -> str:
    """The inputs that may not be the only ones with values: there the operator is neither linear nor a neuron."""
    lone = [i for i in _able(schema) if not is_affine(schema.name, {i})]
    names = [inputs_of(schema)[i].name for i in lone if not neuron_kind(gs.Node(schema.name), {i})]
    if not names and len(lone) < len(_able(schema)) == 1:  # one input, linear
        return _wire(schema)
    return f"refused where values reach {' or '.join(names)} alone" if names else ""


def _wire(schema: OpSchema) -> str:
    """What is said of an operator that hands its input through, with the settings of a probe at least."""
    fate = _planned(schema, [0])
    return _said(fate) if fate.fate == "constant" else ""


def _strict(schema: OpSchema, kinds: Sequence[str]) -> str:
    others = [kind for kind in kinds if kind not in STRICT_KINDS]
    if not others:
        return "as it is" if kinds else ""
    fate = _planned(schema, _able(schema) if "many" in others else [0], "strict")
    opened = "opened" if fate.detail.startswith("opened") else _said(fate)
    return opened if others == list(kinds) else f"as it is; {', '.join(others)}: {opened}"


def _fate(schema: OpSchema) -> str:
    """What becomes of an operator that is in no table."""
    if schema.deprecated:
        return f"refused: withdrawn from ONNX in opset {schema.since_version}"
    if schema.name in CONTROL_FLOW:
        reason, _ = why_no_neuron(gs.Node(schema.name), ValuePath(gs.Graph())) or ("", "")
        return f"refused: {reason}"
    if schema.name in SPELLED_OUT:
        return "opened into its ONNX definition"
    if schema.name in QUANTISED:
        return QUANTISED[schema.name]
    types = inputs_of(schema)[0].types if schema.inputs else set()
    if "tensor(string)" in types and not any("int" in kind for kind in types):
        return "computed once from strings, before the first step (stock onnxruntime only)"
    # an operator whose first input takes no floats is one for integers, sequences or optionals
    values = [0] if FLOAT in types and "optional(tensor(float))" not in types else []
    fate = _planned(schema, values)
    drawn = "; drawn anew in every run" if "seed" in schema.attributes and fate.detail.startswith("depends") else ""
    return f"{_said(fate)}{drawn}"


def _said(fate: Fate) -> str:
    """The fate in words; the way out of a refusal is left to the plan of the model."""
    if fate.fate == "unsupported":
        return f"refused: {fate.detail.split(';')[0]}"
    stays = fate.fate == "constant" and "compile time" not in fate.detail
    return f"{fate.detail} (backend onnxruntime only)" if stays and fate.op not in OPERATORS else fate.detail


def _planned(schema: OpSchema, values: Sequence[int], granularity: str = "composite") -> Fate:
    try:
        nodes = plan(probe(schema, values), granularity=granularity).nodes
    except ModelError as error:
        reason = re.sub(r"^(node|input) '\w+'( \(\w+\))?: ", "", str(error))
        return Fate("op", schema.name, "unsupported", re.sub(r"the value '(in|out)put\d'", r"its \1put", reason))
    return next(node for node in nodes if node.name == "op")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the document, or write it into a file."""
    parser = argparse.ArgumentParser(prog="python -m spikec.operator_table", description=__doc__)
    parser.add_argument("--output", type=Path, help="the file to write, in place of the standard output")
    output = parser.parse_args(arguments).output
    if output is None:
        print(markdown(), end="")
    else:
        output.write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
