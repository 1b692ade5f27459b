"""Models of the timm zoo by name: ``timm:convnext_atto?num_classes=10``."""

import ast
from typing import Any
from urllib.parse import parse_qsl

import torch

from spikec.errors import ModelError, UsageError
from spikec.frontends.source import Source
from spikec.frontends.torch_module import export_module


def load_timm(name: str) -> Source:
    """The timm model that ``name`` describes, exported.

    Options behind ``?`` go to ``timm.create_model`` (``num_classes=10&in_chans=1&checkpoint_path=FILE&pretrained=true``),
    but for two: ``input=3x64x64``, the size of one sample if it is not the model's own, and ``seed``, of random weights.

    Raises:
        UsageError: no such model, or an option that timm does not take.
        ModelError: the weights cannot be loaded or the model cannot be exported.
    """
    import timm

    model_name, _, query = name.removeprefix("timm:").partition("?")
    options = {key: _value(text) for key, text in parse_qsl(query, keep_blank_values=True)}
    size, seed = options.pop("input", None), options.pop("seed", 0)
    if not timm.is_model(model_name):
        near = ", ".join(timm.list_models(f"*{model_name[:6]}*")[:5]) or "see timm.list_models()"
        raise UsageError(f"timm has no model '{model_name}'; near it: {near}")
    if not isinstance(seed, int):
        raise UsageError(f"seed={seed} is not a whole number")
    model = _create(model_name, options, seed)
    shape = _shape(size) if size is not None else tuple(model.pretrained_cfg["input_size"])
    if size is None and "img_size" in options:
        shape = (shape[0], *_square(options["img_size"]))
    if size is None and "in_chans" in options:
        shape = (int(options["in_chans"]), *shape[1:])
    source = export_module(model, torch.zeros(2, *shape), name, "timm")
    if not (options.get("pretrained") or options.get("checkpoint_path")):
        source.warnings.append(
            f"{name} has random weights: add ?pretrained=true or ?checkpoint_path=FILE to convert a trained network"
        )
    return source


def _create(model_name: str, options: dict[str, Any], seed: int) -> torch.nn.Module:
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            model: torch.nn.Module = timm.create_model(model_name, **options)
        except TypeError as error:
            raise UsageError(f"timm:{model_name} does not take these options: {error}") from error
        except Exception as error:  # downloads, checkpoints and model code fail in many ways
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"timm:{model_name} cannot be made: {reason[0][:300]}") from error
    return model


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


def _square(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
