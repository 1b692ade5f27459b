"""Models that a user's own code makes: ``package.module:factory``."""

import contextlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import torch

from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source
from spikec.frontends.torch_module import export_module
from spikec.frontends.validity import check_valid


def load_factory(name: str) -> Source:
    """Call the function that ``name`` points to, looked up from the current folder on.

    It takes no arguments and returns a pair (torch module, example inputs), a torch module that has an attribute
    ``example_inputs``, or an ``onnx.ModelProto``.

    Raises:
        UsageError: no such module or function, or it returns something else.
        ModelError: the module or the function fails; its reason is passed on.
    """
    module_name, _, attribute = name.partition(":")
    module = _import(module_name, name)
    factory = getattr(module, attribute, None)
    if factory is None:
        raise UsageError(f"{name}: module {module_name} has no {attribute}; write package.module:function")
    if not callable(factory):
        raise UsageError(
            f"{name} is no function but a {type(factory).__name__}; give a function that returns the model"
        )
    return _as_source(_run(factory, f"{name}() failed"), name)


def _import(module_name: str, name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module: ModuleType = _run(
            lambda: importlib.import_module(module_name), f"{name}: importing {module_name} failed"
        )
    except ModelError as error:
        lacking = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if lacking and f"{module_name}.".startswith(f"{lacking}."):
            raise UsageError(f"{name}: {error.__cause__}; run from the folder that holds it, or install it") from error
        raise
    return module


def _run(function: Callable[[], Any], failure: str) -> Any:
    """What the user's code returns. What it prints goes to stderr: stdout belongs to the command's result."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function()
    except (Exception, SystemExit) as error:  # the user's code: anything can happen, and it is theirs to read
        raise ModelError(f"{failure}: {type(error).__name__}: {error}") from error


def _as_source(made: object, name: str) -> Source:
    if isinstance(made, onnx.ModelProto):
        check_valid(made, name)
        return Source.of(made, name, "factory")
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module):
        return export_module(made[0], made[1], name, "factory")
    if isinstance(made, torch.nn.Module) and hasattr(made, "example_inputs"):
        return export_module(made, made.example_inputs, name, "factory")
    raise UsageError(
        f"{name}() returned a {type(made).__name__}; return (module, example_inputs), a module with an attribute "
        "example_inputs, or an onnx.ModelProto"
    )
