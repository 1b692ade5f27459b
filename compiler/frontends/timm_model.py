"""Models of the timm zoo by name: ``timm:convnext_atto?num_classes=10``."""

import ast
import difflib
import os
from typing import Any
from urllib.parse import parse_qsl

import torch

from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source
from spikec.frontends.torch_module import export_module
from spikec.quiet import quiet


def load_timm(name: str) -> Source:
    """The timm model that ``name`` describes, exported.

    Options behind ``?`` go to ``timm.create_model``
    (``num_classes=10&in_chans=1&checkpoint_path=FILE&pretrained=true``), but for two: ``input=3x64x64``, the size of
    one sample if it is not the model's own, and ``seed``, of random weights.

    Raises:
        UsageError: no such model, or an option that timm does not take.
        ModelError: the weights cannot be loaded or the model cannot be exported.
    """
    model, shape, random = make_timm(name)
    source = export_module(model, _zeros(shape), name, "timm")
    if random:
        source.warnings.append(
            f"{name} has random weights: add ?pretrained=true or ?checkpoint_path=FILE to convert a trained network"
        )
    return source


def make_timm(name: str) -> tuple[torch.nn.Module, tuple[int, ...], bool]:
    """The timm model that ``name`` describes, the shape of one sample, and whether its weights are random.

    Errors are those of ``load_timm``.
    """
    import timm

    model_name, _, query = name.removeprefix("timm:").partition("?")
    options = {key: _value(text) for key, text in parse_qsl(query, keep_blank_values=True)}
    size, seed = options.pop("input", None), options.pop("seed", 0)
    if not timm.is_model(model_name):
        near = difflib.get_close_matches(model_name, timm.list_models(), cutoff=0.5)
        hint = f"near it are {', '.join(near)}" if near else "timm.list_models() names them all"
        raise UsageError(f"timm has no model '{model_name}'; {hint}")
    if not isinstance(seed, int):
        raise UsageError(f"seed={seed} is not a whole number")
    _check_checkpoint(options.get("checkpoint_path"))
    model = _create(model_name, options, seed)
    random = not (options.get("pretrained") or options.get("checkpoint_path"))
    return model, _sample_shape(model, size, options), random


def _create(model_name: str, options: dict[str, Any], seed: int) -> torch.nn.Module:
    import timm

    given = "&".join(f"{key}={value}" for key, value in options.items()) or "no options"
    with torch.random.fork_rng(), quiet():
        try:
            torch.manual_seed(seed)
            model: torch.nn.Module = timm.create_model(model_name, **options)
        except TypeError as error:
            raise UsageError(f"timm:{model_name} does not take {given}: {error}") from error
        except Exception as error:  # downloads, checkpoints and model code fail in many ways
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            raise ModelError(f"timm:{model_name} cannot be made with {given}: {reason[:300]}") from error
    return model


def _sample_shape(model: Any, size: Any, options: dict[str, Any]) -> tuple[int, ...]:
    """Channels, height and width: as asked for, or the model's own."""
    if size is not None:
        return _shape(size)
    channels, *square = model.pretrained_cfg["input_size"]
    if "img_size" in options:  # a number, or height and width
        asked = options["img_size"]
        square = list(asked) if isinstance(asked, (tuple, list)) else [asked, asked]
    return (options.get("in_chans", channels), *square)


def _check_checkpoint(path: Any) -> None:
    if path is not None and not os.path.isfile(str(path)):
        raise UsageError(f"there is no checkpoint file {path}")


def _zeros(shape: tuple[int, ...]) -> torch.Tensor:
    try:
        return torch.zeros(2, *shape)
    except (RuntimeError, TypeError) as error:  # too large for memory, or no whole numbers
        size = "x".join(map(str, shape))
        raise UsageError(
            f"there can be no sample of {size}: {str(error).splitlines()[0]}; write input=3x64x64"
        ) from error


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _shape(size: Any) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in str(size).split("x"))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        raise UsageError(f"input={size} is not a size; write channels x height x width, as in input=3x64x64")
    return shape
