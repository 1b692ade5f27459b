"""Models that a user's own code makes: ``package.module:factory``."""

import importlib
import sys
from pathlib import Path

import onnx
import torch

from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source
from spikec.frontends.torch_module import export_module


def load_factory(name: str) -> Source:
    """Call the function that ``name`` points to, looked up from the current folder on.

    It takes no arguments and returns a pair (torch module, example inputs), a torch module that has an attribute
    ``example_inputs``, or an ``onnx.ModelProto``.

    Raises:
        UsageError: no such module or function, or it returns something else.
        ModelError: the function fails; its reason is passed on.
    """
    module_name, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name}: {error}; run from the folder that holds it, or install it") from error
    except AttributeError as error:
        raise UsageError(f"{name}: {error}") from error
    try:
        made = factory()
    except Exception as error:  # the user's code: anything can happen, and it is theirs to read
        raise ModelError(f"{name}() failed: {type(error).__name__}: {error}") from error
    return _as_source(made, name)


def _as_source(made: object, name: str) -> Source:
    if isinstance(made, onnx.ModelProto):
        return Source.of(made, name, "factory")
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module):
        return export_module(made[0], made[1], name, "factory")
    if isinstance(made, torch.nn.Module) and hasattr(made, "example_inputs"):
        return export_module(made, made.example_inputs, name, "factory")
    raise UsageError(
        f"{name}() returned a {type(made).__name__}; return (module, example_inputs), a module with an attribute "
        "example_inputs, or an onnx.ModelProto"
    )
