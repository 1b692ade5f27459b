"""How an artifact is evaluated: step by step, layer by layer, or all steps in one graph."""

import os
import shutil
import warnings

from spikec.runtime.backend import LAYERED, Backend
from spikec.runtime.errors import DeviceError, InputError
from spikec.runtime.parts import Parts
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.unrolled import Unrolled

EVALUATIONS = ("auto", "layers", "steps")
# neurons x steps of a batch from which a compiled scan is worth its compilation: 10 to 20 s where nothing is cached,
# and step by step costs some 15 ns a neuron and step (python -m benchmarks.speed)
WORTH_COMPILING = 1_000_000_000


def make_program(
    parts: Parts, engine: Backend, backend: str, precision: str, evaluation: str, budget: int | None
) -> Stepwise | Unrolled:
    """What evaluates batches of the artifact.

    Raises:
        InputError: there is no such way.
        DeviceError: the precision needs another way than this artifact or backend has.
    """
    if evaluation not in EVALUATIONS:
        raise InputError(f"evaluation '{evaluation}' is none of {', '.join(EVALUATIONS)}")
    if budget is not None and budget < 1:
        raise InputError(f"a memory budget of {budget} bytes; give at least 1, or none")
    reason = _hindrance(parts, backend)
    if evaluation == "steps" and not reason:
        reason = "evaluation steps was asked"
    program = None if reason else _layerwise(parts, engine, evaluation, precision, budget)
    if program is None or isinstance(program, str):
        reason = program or reason
        if precision in LAYERED:
            raise DeviceError(f"precision {precision} evaluates layer by layer, but {reason}; use precision float32")
        if evaluation == "layers":
            warnings.warn(f"evaluated step by step: {reason}", stacklevel=3)
        unrolled = parts.manifest.form == "unrolled" and parts.manifest.states
        return Unrolled(parts, engine) if unrolled else Stepwise(parts, engine)
    return program


def _hindrance(parts: Parts, backend: str) -> str:
    if backend != "torch":
        return f"backend {backend} has no evaluation layer by layer"
    if parts.manifest.form == "unrolled":
        return "the artifact has the form unrolled, whose steps are all one graph (compile it with --form loop)"
    return ""


def _layerwise(parts: Parts, engine: Backend, evaluation: str, precision: str, budget: int | None) -> Stepwise | str:
    """The evaluation layer by layer, or why there is none."""
    from spikec.runtime.layers import CannotFold, Layerwise  # it needs torch, which not every backend has
    from spikec.runtime.layers.layerwise import default_budget
    from spikec.runtime.torch_backend import TorchBackend

    assert isinstance(engine, TorchBackend)  # the caller has asked for the backend
    compiled = can_compile(str(engine.device))
    asked = evaluation == "layers" or precision in LAYERED
    if not asked and not compiled:
        return "there is no C++ compiler for its scans"
    try:
        least = 0 if asked else WORTH_COMPILING
        program = Layerwise(parts, engine, budget or default_budget(engine.device), compiled=compiled, least=least)
    except CannotFold as error:
        return str(error)
    if precision == "int8" and not program.spikes.products:
        warnings.warn("precision int8 is float32 here: no neuron's events meet constant weights at once", stacklevel=4)
    return program


def can_compile(device: str) -> bool:
    """Whether torch.compile has what it needs: a C++ compiler on the CPU, where CUDA devices bring their own."""
    return device != "cpu" or shutil.which(os.environ.get("CXX", "g++")) is not None
