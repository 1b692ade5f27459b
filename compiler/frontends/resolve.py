"""Decides which front end a model is for."""

import os
import re
from pathlib import Path
from typing import Any

import onnx

from spikec.errors import UsageError
from spikec.frontends.source import Source
from spikec.frontends.validity import check_valid

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


def load_model(model: Any, example_inputs: Any = None) -> Source:
    """The ONNX model behind ``model``: a path, ``timm:NAME``, ``package.module:factory``, a ModelProto, a torch module.

    Raises:
        UsageError: nothing of that kind is there.
        ModelError: it is there and cannot be read or exported.
    """
    if isinstance(model, onnx.ModelProto):
        check_valid(model, "the model")
        return Source.of(model, model.graph.name or "model", "onnx")
    if isinstance(model, (str, Path)):
        return _by_name(str(model))
    # torch takes seconds to import: only where it is needed
    import torch

    from spikec.frontends.torch_module import export_module

    if isinstance(model, torch.nn.Module):
        return export_module(model, example_inputs, type(model).__name__, "torch")
    raise UsageError(f"a model cannot be a {type(model).__name__}; give a path, a torch module or an onnx.ModelProto")


def _by_name(name: str) -> Source:
    if name.startswith("timm:"):
        from spikec.frontends.timm_model import load_timm

        return load_timm(name)
    if _FACTORY.fullmatch(name) and not os.path.exists(name):
        from spikec.frontends.factory import load_factory

        return load_factory(name)
    from spikec.frontends.onnx_file import load_file

    return load_file(Path(name))
