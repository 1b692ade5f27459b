"""What a backend has to do: evaluate lists of ONNX nodes, and keep tensors between calls where it likes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from onnx import NodeProto

from spikec.runtime.errors import DeviceError
from spikec.runtime.parts import Parts

LAYERED = ("bfloat16", "int8")  # precisions of the products of all time steps at once, which one step does not have
Evaluate = Callable[[Mapping[str, Any]], dict[str, Any]]


class Backend(Protocol):
    """Evaluates graphs; tensors are of the backend's own kind between ``to_device`` and ``to_numpy``."""

    def graph(self, nodes: Sequence[NodeProto], outputs: Sequence[str], types: Mapping[str, int]) -> Evaluate:
        """A function from named tensors to the named ``outputs``; ``types`` gives the element types of its inputs."""
        ...

    def repeated(self, evaluate: Evaluate) -> Evaluate:
        """A graph's function for many calls: what it gives may be overwritten by the next call."""
        ...

    def release(self) -> None:
        """Give back what ``repeated`` keeps between calls; the next one makes it anew."""
        ...

    def to_device(self, array: np.ndarray) -> Any:
        """A tensor of the same shape on the backend's device, in memory of its own."""
        ...

    def to_numpy(self, tensor: Any) -> np.ndarray:
        """The tensor as an array, in memory of its own: whoever writes to it changes nothing else."""
        ...


def make_backend(name: str, parts: Parts, device: str, precision: str) -> Backend:
    """The backend of that name for an artifact.

    Raises:
        DeviceError: the backend's package, device or provider is not there, or it lacks the precision.
    """
    # each backend imports its own engine: a machine needs only the one that it uses
    if name == "torch":
        try:
            from spikec.runtime.torch_backend import TorchBackend
        except ImportError as error:
            raise DeviceError("backend torch needs the package torch; install it or use backend onnxruntime") from error
        return TorchBackend(parts, device, precision)
    if name == "onnxruntime":
        try:
            from spikec.runtime.ort_backend import OrtBackend
        except ImportError as error:
            raise DeviceError(
                "backend onnxruntime needs the package onnxruntime; install it or use backend torch"
            ) from error
        return OrtBackend(parts, device, precision)
    raise DeviceError(f"there is no backend '{name}'; choose torch or onnxruntime")
