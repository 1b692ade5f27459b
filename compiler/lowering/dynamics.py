"""The dynamics of a neuron as model-local ONNX functions: the second layer, which calls f.

Every function here is ``(x1..xk, parameters..., v, eta, amplitude) -> (v_next, d)``: what the neuron believes its
inputs are, what it has told the others so far, the step size of this step; out come the new estimate and the event.
Ternary neurons take the dead zone of this step behind the amplitude.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN

PREFIX = {"signgd": "SignGD", "subgradient": "Subgradient"}


def operator_name(function: str, dynamics: str, coding: str, ternary: bool = False) -> str:
    """The name of the neuron's function: ``SignGD_Relu``, ``SignGDTernary_Relu``, ``SignGDFloat_Identity``..."""
    variant = "Float" if coding == "float" else "Ternary" if ternary else ""
    return f"{PREFIX[dynamics]}{variant}_{function}"


def neuron_function(
    function: onnx.FunctionProto, dynamics: str, coding: str, ternary: bool = False
) -> onnx.FunctionProto:
    """The neuron that holds ``function`` (of ``spikec.f``) under ``dynamics``.

    ``coding`` float makes it an encoder; ``ternary`` gives a signGD neuron a dead zone.
    """
    arguments = list(function.input)
    body = _ternary_descent() if ternary else _BODIES[dynamics, coding]()
    nodes = [helper.make_node(function.name, arguments, ["f"], domain=FUNCTION_DOMAIN), *body]
    opset = next(entry.version for entry in function.opset_import if entry.domain == "")
    return helper.make_function(
        NEURON_DOMAIN,
        operator_name(function.name, dynamics, coding, ternary),
        [*arguments, "v", "eta", "amplitude", *(["theta"] if ternary else [])],
        ["v_next", "d"],
        nodes,
        [helper.make_opsetid("", opset), helper.make_opsetid(FUNCTION_DOMAIN, 1)],
    )


def leaky_integrator(opset: int) -> onnx.FunctionProto:
    """``spikec::LeakyIntegrate(x, x0, delta, eta)``: the received part x - x0 is forgotten, the constant part x0 not.

    x_next = x0 + (1 - eta) * (x - x0) + delta   (integrate-and-fire as a subgradient method, Oh & Lee 2024)
    """
    nodes = [
        _scalar("one", 1.0),
        helper.make_node("Sub", ["one", "eta"], ["keep"]),
        helper.make_node("Sub", ["x", "x0"], ["received"]),
        helper.make_node("Mul", ["received", "keep"], ["kept"]),
        helper.make_node("Add", ["kept", "delta"], ["now"]),
        helper.make_node("Add", ["x0", "now"], ["x_next"]),
    ]
    return helper.make_function(
        NEURON_DOMAIN,
        "LeakyIntegrate",
        ["x", "x0", "delta", "eta"],
        ["x_next"],
        nodes,
        [helper.make_opsetid("", opset)],
    )


def _sign_descent() -> list[onnx.NodeProto]:
    """d = -eta * a * sign(v - f) with sign(0) = +1; v_next = v + d."""
    return [
        _scalar("zero", 0.0),
        helper.make_node("Sub", ["v", "f"], ["e"]),
        helper.make_node("GreaterOrEqual", ["e", "zero"], ["above"]),
        helper.make_node("Mul", ["eta", "amplitude"], ["size"]),
        helper.make_node("Neg", ["size"], ["down"]),
        helper.make_node("Where", ["above", "down", "size"], ["d"]),
        helper.make_node("Add", ["v", "d"], ["v_next"]),
    ]


def _ternary_descent() -> list[onnx.NodeProto]:
    """As ``_sign_descent``, but d = 0 where |v - f| <= theta * eta * a: who is close enough is silent."""
    return [
        _scalar("zero", 0.0),
        helper.make_node("Sub", ["v", "f"], ["e"]),
        helper.make_node("GreaterOrEqual", ["e", "zero"], ["above"]),
        helper.make_node("Mul", ["eta", "amplitude"], ["size"]),
        helper.make_node("Neg", ["size"], ["down"]),
        helper.make_node("Where", ["above", "down", "size"], ["signed"]),
        helper.make_node("Abs", ["e"], ["distance"]),
        helper.make_node("Mul", ["theta", "size"], ["limit"]),
        helper.make_node("LessOrEqual", ["distance", "limit"], ["silent"]),
        helper.make_node("Where", ["silent", "zero", "signed"], ["d"]),
        helper.make_node("Add", ["v", "d"], ["v_next"]),
    ]


def _float_descent() -> list[onnx.NodeProto]:
    """d = eta * (f - v): the gradient itself, not its sign (the paper's input encoder)."""
    return [
        helper.make_node("Sub", ["f", "v"], ["error"]),
        helper.make_node("Mul", ["eta", "error"], ["d"]),
        helper.make_node("Add", ["v", "d"], ["v_next"]),
    ]


def _integrate_and_fire() -> list[onnx.NodeProto]:
    """s = 1 where f >= (1 - eta) * v + eta * a; d = eta * a * s; v_next = (1 - eta) * v + d.

    With eta = 1/(t+1), and times t+1: a neuron fires when what it has received exceeds what it has sent by the
    amplitude. That is the integrate-and-fire neuron with threshold a, reset by subtraction, and a membrane that starts
    at 0.
    """
    return [
        _scalar("zero", 0.0),
        _scalar("one", 1.0),
        helper.make_node("Mul", ["eta", "amplitude"], ["size"]),
        helper.make_node("Sub", ["one", "eta"], ["keep"]),
        helper.make_node("Mul", ["v", "keep"], ["kept"]),
        helper.make_node("Add", ["kept", "size"], ["fired"]),
        helper.make_node("GreaterOrEqual", ["f", "fired"], ["fires"]),
        helper.make_node("Where", ["fires", "size", "zero"], ["d"]),
        helper.make_node("Add", ["kept", "d"], ["v_next"]),
    ]


def _float_current() -> list[onnx.NodeProto]:
    """d = eta * f; v_next = (1 - eta) * v + d: with eta = 1/(t+1) the running mean of the input, which is the input."""
    return [
        _scalar("one", 1.0),
        helper.make_node("Mul", ["eta", "f"], ["d"]),
        helper.make_node("Sub", ["one", "eta"], ["keep"]),
        helper.make_node("Mul", ["v", "keep"], ["kept"]),
        helper.make_node("Add", ["kept", "d"], ["v_next"]),
    ]


_BODIES = {
    ("signgd", "sign"): _sign_descent,
    ("signgd", "float"): _float_descent,
    ("subgradient", "sign"): _integrate_and_fire,
    ("subgradient", "float"): _float_current,
}


def _scalar(name: str, value: float) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32), name))
