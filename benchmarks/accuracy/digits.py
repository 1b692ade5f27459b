"""The two networks of ``examples/digits_demo.py``, trained once and kept in a cache folder."""

import hashlib
import inspect
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch

from benchmarks.accuracy.subject import Subject
from benchmarks.accuracy.torch_weights import verified
from benchmarks.configuration import Progress
from benchmarks.datasets import Images
from examples import digits_measure, digits_networks
from examples.digits_networks import RECIPES, Digits, Recipe


def trained(stem: str, cache: Path, images: int | None, progress: Progress) -> Subject:
    """The network ``stem`` of the demo on the first ``images`` test digits, trained here where ``cache`` has none."""
    recipe, digits = next(recipe for recipe in RECIPES if recipe.stem == stem), digits_networks.load()
    path = cache / f"{stem}-{_fingerprint()}.onnx"
    if not (path.is_file() and path.with_suffix(".pt").is_file()):
        _train(recipe, digits, path, progress)
    module, model = recipe.make(), onnx.load(path)
    module.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
    chosen = Images(digits.calibration, digits.test[:images], np.asarray(digits.labels[:images]))
    return Subject.of(model, chosen, lambda: verified(module, model, chosen.calibration))


def _train(recipe: Recipe, digits: Digits, path: Path, progress: Progress) -> None:
    """Write the ONNX model, and the weights of the torch module beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    network = digits_networks.train(recipe, digits, progress)
    digits_measure.export(network, recipe, digits, path)
    torch.save(network.state_dict(), path.with_suffix(".pt"))


def _fingerprint() -> str:
    """What the weights depend on: how the example trains, and the tools' releases."""
    parts = [inspect.getsource(digits_networks), *(version(name) for name in ("torch", "timm", "scikit-learn"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
