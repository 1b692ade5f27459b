"""Whether a manifest has the shape that its readers count on."""

from types import NoneType
from typing import Any

_NUMBER = (int, float)
_PAIR = [_NUMBER, _NUMBER]
_NEURON = {
    **dict.fromkeys(("name", "function", "kind", "coding", "event"), str),
    **dict.fromkeys(("range", "amplitude", "initial"), _PAIR),
    "eta": [_NUMBER],
    "reach": (*_NUMBER, NoneType),
    "saturates": bool,
}
_CORRECTION = {"tensor": str, "scale": _PAIR, "offset": _PAIR}
_MANIFEST = {
    "form": str,
    "steps": int,
    "dynamics": str,
    "schedule": str,
    "options": {"coding": str, "granularity": str, "dead_zone": _NUMBER},
    "inputs": [str],
    "outputs": [str],
    "states": [dict.fromkeys(("name", "kind", "initial", "next"), str)],
    "held": [str],
    "held_types": [int],
    "readout": {"nodes": [str]},
    "neurons": [_NEURON],
    "source": dict.fromkeys(("name", "kind", "sha256"), str),
    "calibration": {"origin": str, "samples": int},
    "tools": {},
    "warnings": [str],
}
FORMS = ("loop", "unrolled", "step")


def fault_in(manifest: Any) -> str | None:
    """What is wrong with a manifest and where, or None; more than is asked for is no fault."""
    found = _fault(manifest, _MANIFEST, "manifest")
    if not found and "corrections" in manifest["readout"]:  # older artifacts have none
        found = _fault(manifest["readout"]["corrections"], [_CORRECTION], "manifest.readout.corrections")
    if found:
        return found
    if manifest["form"] not in FORMS:
        return f"manifest.form is '{manifest['form']}', none of {', '.join(FORMS)}"
    if manifest["steps"] < 1:
        return f"manifest.steps is {manifest['steps']}"
    odd = next((n["name"] for n in manifest["neurons"] if len(n["eta"]) != manifest["steps"]), None)
    return odd and f"the schedule of neuron '{odd}' has not {manifest['steps']} steps"


def _fault(value: Any, pattern: Any, where: str) -> str | None:
    """``{key: ...}``: keys that must be there; ``[p]``: any number of p; ``[p, q]``: one p, one q; else types."""
    if isinstance(pattern, dict):
        parts = value.items() if isinstance(value, dict) else None
        return _fault_in_parts(dict(parts), pattern, where) if parts is not None else f"{where} is no table"
    if isinstance(pattern, list):
        if not isinstance(value, list) or (len(pattern) > 1 and len(pattern) != len(value)):
            return f"{where} is no list as it should be"
        patterns = pattern if len(pattern) > 1 else pattern * len(value)
        return _fault_in_parts(dict(enumerate(value)), dict(enumerate(patterns)), where)
    return None if isinstance(value, pattern) else f"{where} is a {type(value).__name__}"


def _fault_in_parts(value: dict[Any, Any], pattern: dict[Any, Any], where: str) -> str | None:
    for key, inner in pattern.items():
        if key not in value:
            return f"{where}.{key} is missing"
        found = _fault(value[key], inner, f"{where}.{key}")
        if found:
            return found
    return None
