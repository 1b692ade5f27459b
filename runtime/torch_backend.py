"""The torch backend: the artifact's nodes as torch operators, on the CPU or a CUDA device."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from onnx import NodeProto

from spikec.runtime.backend import LAYERED, Evaluate
from spikec.runtime.errors import DeviceError
from spikec.runtime.integers import weight_planes
from spikec.runtime.parts import Parts
from spikec.runtime.recording import RecordedGraph
from spikec.runtime.torch_graph import TorchGraph
from spikec.runtime.torch_values import constants_from

# precision -> type of states and sums, type of convolutions and matrix products of all time steps at once
_PRECISIONS = {
    "float32": (torch.float32, torch.float32),
    "float64": (torch.float64, torch.float64),
    "bfloat16": (torch.float32, torch.bfloat16),
    "int8": (torch.float32, torch.float32),
}


class TorchBackend:
    """Evaluates graphs in torch; weights are placed on the device once and shared by init, step and readout."""

    def __init__(self, parts: Parts, device: str, precision: str) -> None:
        if precision not in _PRECISIONS:
            raise DeviceError(f"backend torch has no precision '{precision}'; choose {', '.join(_PRECISIONS)}")
        self.device = _device(device)
        self.dtype, self.matrix_dtype = _PRECISIONS[precision]
        self.layered = precision in LAYERED
        self.planes = weight_planes(precision, self.device)  # of integer products, layer by layer
        self.constants = constants_from(parts.constants, self.dtype, self.device)
        self.functions = {(function.domain, function.name): function for function in parts.functions}
        self._recorded: list[RecordedGraph] = []

    def graph(self, nodes: Sequence[NodeProto], outputs: Sequence[str], types: Mapping[str, int]) -> Evaluate:
        """See ``Backend``."""
        return TorchGraph(nodes, outputs, self.constants, self.functions, dtype=self.dtype, device=self.device)

    def repeated(self, evaluate: Evaluate) -> Evaluate:
        """See ``Backend``: on CUDA a recorded graph."""
        self._recorded.append(RecordedGraph(evaluate))
        return self._recorded[-1]

    def release(self) -> None:
        """See ``Backend``."""
        for graph in self._recorded:
            graph.recording.release()

    def to_device(self, array: np.ndarray) -> torch.Tensor:
        """See ``Backend``."""
        # writable and without negative strides, which torch asks for, and 0-d stays 0-d; on the CPU always a copy
        own = np.array(array, order="C") if self.device.type == "cpu" else np.require(array, None, ["C", "W"])
        return torch.from_numpy(own).to(self.device)

    def to_numpy(self, tensor: torch.Tensor) -> np.ndarray:
        """See ``Backend``."""
        return np.array(tensor.cpu().numpy())


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"'{name}' is not a torch device; write cpu, cuda or cuda:0") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device '{name}' is not supported; write cpu, cuda or cuda:0")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is available to torch; use device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"there are only {torch.cuda.device_count()} CUDA devices; {name} is not one of them")
    return device
