"""A trained network with its images: what every converter is measured on."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from torch import nn

from benchmarks.datasets import Images
from spikec.errors import ModelError
from spikec.onnx_session import open_session, run_session

BATCH = 64  # images evaluated at once


@dataclass(frozen=True)
class Subject:
    """The trained network, its images, and what it says of the test images itself (computed by onnxruntime).

    ``make_module`` builds it as a torch module for converters that take nothing else; None where there is none.
    ``device`` is where artifacts are run on its images.
    """

    model: onnx.ModelProto
    images: Images
    logits: np.ndarray
    make_module: Callable[[], nn.Module] | None = None
    device: str = "cpu"

    @classmethod
    def of(
        cls, model: onnx.ModelProto, images: Images, make_module: Callable[[], nn.Module] | None = None
    ) -> "Subject":
        """Run ``model`` on the test images."""
        session, name = open_session(model), model.graph.input[0].name
        starts = range(0, len(images.test), BATCH)
        parts = [run_session(session, {name: images.test[i : i + BATCH]}) for i in starts]
        return cls(model, images, np.concatenate([next(iter(part.values())) for part in parts]), make_module)

    @property
    def input(self) -> str:
        """The name of the network's input."""
        return str(self.model.graph.input[0].name)

    @property
    def accuracy(self) -> float:
        """Share of the test images that it gets right."""
        return float(np.mean(self.logits.argmax(axis=1) == self.images.labels))

    @property
    def digest(self) -> str:
        """The first 16 digits of the weights' sha256: networks trained anew differ in nothing else."""
        tensors = (tensor.SerializeToString(deterministic=True) for tensor in self.model.graph.initializer)
        return hashlib.sha256(b"".join(tensors)).hexdigest()[:16]

    def module(self) -> nn.Module:
        """The network as a torch module.

        Raises:
            ModelError: nobody has built one.
        """
        if self.make_module is None:
            raise ModelError("converters of torch modules have nothing to take: this network is there as ONNX only")
        return self.make_module()
