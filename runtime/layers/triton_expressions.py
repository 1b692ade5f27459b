"""What ONNX nodes are in Triton's language."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from spikec.runtime.errors import UnsupportedOperator

Expression = Callable[..., str]

NAN_KEEPING = "propagate_nan=tl.PropagateNan.ALL"  # as torch and ONNX have it
_CASTS = {TensorProto.FLOAT: "tl.float32", TensorProto.BOOL: "tl.int1", TensorProto.INT32: "tl.int32",
          TensorProto.INT64: "tl.int64"}  # fmt: skip


def _sigmoid(x: str) -> str:
    return f"(1.0 / (1.0 + tl.exp(-({x}))))"


def _tanh(x: str) -> str:
    """From exp of what is not positive, which cannot overflow."""
    small = f"tl.exp(-2.0 * tl.abs({x}))"
    return f"tl.where({x} < 0.0, -1.0, 1.0) * (1.0 - {small}) / (1.0 + {small})"


def _softplus(x: str) -> str:
    return f"(tl.maximum({x}, 0.0) + tl.log(1.0 + tl.exp(-tl.abs({x}))))"


def _gelu(x: str, approximate: str = "none") -> str:
    if approximate == "tanh":
        inner = f"(0.7978845608028654 * ({x} + 0.044715 * {x} * {x} * {x}))"
        return f"(0.5 * {x} * (1.0 + {_tanh(inner)}))"
    return f"(0.5 * {x} * (1.0 + tl.erf({x} * 0.7071067811865476)))"


def _clip(x: str, low: str = "", high: str = "") -> str:
    above = f"tl.maximum({x}, {low}, {NAN_KEEPING})" if low else x
    return f"tl.minimum({above}, {high}, {NAN_KEEPING})" if high else above


def _hard_sigmoid(x: str, alpha: float = 0.2, beta: float = 0.5) -> str:
    return f"tl.minimum(tl.maximum({alpha!r} * {x} + {beta!r}, 0.0), 1.0)"


def _joined(operator: str) -> Expression:
    return lambda *terms: f"({f' {operator} '.join(terms)})"


def _nested(function: str) -> Expression:
    def write(first: str, *others: str) -> str:
        for other in others:
            first = f"{function}({first}, {other}, {NAN_KEEPING})"
        return first

    return write


# operator -> how its value is written; arguments are the inputs' names, then the attributes by name
EXPRESSIONS: dict[str, Expression] = {
    **{name: _joined(sign) for name, sign in {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Sum": "+"}.items()},
    **{name: _joined(sign) for name, sign in {"Greater": ">", "Less": "<", "Equal": "=="}.items()},
    **{name: _joined(sign) for name, sign in {"GreaterOrEqual": ">=", "LessOrEqual": "<="}.items()},
    **{name: _joined(sign) for name, sign in {"And": "&", "Or": "|", "Xor": "^"}.items()},
    **{name: (lambda x, f=f: f"tl.{f}({x})") for name, f in {"Abs": "abs", "Exp": "exp", "Log": "log"}.items()},
    **{name: (lambda x, f=f: f"tl.{f}({x})") for name, f in {"Sin": "sin", "Cos": "cos", "Erf": "erf"}.items()},
    **{name: (lambda x, f=f: f"tl.{f}({x})") for name, f in {"Floor": "floor", "Ceil": "ceil"}.items()},
    "Max": _nested("tl.maximum"),
    "Min": _nested("tl.minimum"),
    "Neg": lambda x: f"(-{x})",
    "Not": lambda x: f"({x} == 0)",
    "Identity": lambda x: x,
    "Where": lambda c, a, b: f"tl.where({c}, {a}, {b})",
    "Reciprocal": lambda x: f"(1.0 / {x})",
    "Sqrt": lambda x: f"tl.sqrt_rn({x})",
    "Sign": lambda x: f"(tl.where({x} > 0.0, 1.0, 0.0) - tl.where({x} < 0.0, 1.0, 0.0))",
    "Relu": lambda x: f"tl.maximum({x}, 0.0, {NAN_KEEPING})",
    "LeakyRelu": lambda x, alpha=0.01: f"tl.where({x} < 0.0, {alpha!r} * {x}, {x})",
    "PRelu": lambda x, slope: f"tl.where({x} < 0.0, {slope} * {x}, {x})",
    "ThresholdedRelu": lambda x, alpha=1.0: f"tl.where({x} > {alpha!r}, {x}, 0.0)",
    "Clip": _clip,
    "Sigmoid": _sigmoid,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x: f"({x} * {_hard_sigmoid(x, 1 / 6, 0.5)})",
    "Swish": lambda x, alpha=1.0: f"({x} * {_sigmoid(f'{alpha!r} * {x}')})",
    "Tanh": _tanh,
    "Softplus": _softplus,
    "Softsign": lambda x: f"({x} / (1.0 + tl.abs({x})))",
    "Mish": lambda x: f"({x} * {_tanh(_softplus(x))})",
    "Elu": lambda x, alpha=1.0: f"tl.where({x} > 0.0, {x}, {alpha!r} * (tl.exp(tl.minimum({x}, 0.0)) - 1.0))",
    "Gelu": _gelu,
}


def statement(node: NodeProto) -> list[str]:
    """The lines that assign the node's output.

    Raises:
        UnsupportedOperator: the table has no such operator, or a constant is no single number.
    """
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if node.op_type == "Constant":
        return [f"{node.output[0]} = {_literal(node, attributes)}"]
    if node.op_type == "Cast" and attributes["to"] in _CASTS:
        kind = _CASTS[attributes["to"]]
        return [f"{node.output[0]} = ({node.input[0]} != 0)" if kind == "tl.int1" else
                f"{node.output[0]} = {node.input[0]}.to({kind})"]  # fmt: skip
    if node.op_type not in EXPRESSIONS:
        raise UnsupportedOperator(
            f"operator {node.op_type} has no Triton expression; its scan goes through torch.compile"
        )
    named: dict[str, Any] = {name: v.decode() if isinstance(v, bytes) else v for name, v in attributes.items()}
    return [f"{node.output[0]} = {EXPRESSIONS[node.op_type](*node.input, **named)}"]


def _literal(node: NodeProto, attributes: dict[str, Any]) -> str:
    (value,) = attributes.values()
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
    if array.size != 1:
        raise UnsupportedOperator(f"a constant of {array.size} elements inside a scan; it goes through torch.compile")
    number = array.reshape(()).item()
    if isinstance(number, bool):
        return repr(int(number))
    return repr(number) if np.isfinite(number) else f'float("{number}")'
