"""The onnxruntime backend: each graph a session, tensors kept on its device between calls."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import NodeProto, helper

from spikec.runtime.backend import Evaluate
from spikec.runtime.errors import ArtifactError, DeviceError
from spikec.runtime.parts import Parts, needed

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OrtBackend:
    """Evaluates graphs in onnxruntime sessions with inputs and outputs bound on the device."""

    def __init__(self, parts: Parts, device: str, precision: str) -> None:
        if precision != "float32":
            raise DeviceError("backend onnxruntime computes in float32; use backend torch for float64")
        self.parts = parts
        self.kind, _, index = device.partition(":")
        if self.kind not in _PROVIDERS or not _is_number(index or "0"):
            raise DeviceError(f"device '{device}' is not supported; write cpu, cuda or cuda:0")
        self.index, self.provider = int(index or 0), _PROVIDERS[self.kind]
        if self.provider not in ort.get_available_providers():
            raise DeviceError(f"this onnxruntime has no {self.provider}; use device cpu or install onnxruntime-gpu")
        self.constants = {tensor.name: tensor for tensor in parts.constants}

    def graph(self, nodes: Sequence[NodeProto], outputs: Sequence[str], types: Mapping[str, int]) -> Evaluate:
        """See ``Backend``."""
        session = self._session(self._model(nodes, outputs, types))
        names = [info.name for info in session.get_inputs()]

        def evaluate(tensors: Mapping[str, ort.OrtValue]) -> dict[str, ort.OrtValue]:
            missing = [name for name in names if name not in tensors]
            if missing:
                raise ArtifactError(f"the artifact reads {missing[0]}, which it does not compute; compile it again")
            binding = session.io_binding()
            for name in names:
                binding.bind_ortvalue_input(name, tensors[name])
            for name in outputs:
                binding.bind_output(name, self.kind, self.index)
            session.run_with_iobinding(binding)
            return dict(zip(outputs, binding.get_outputs(), strict=True))

        return evaluate

    def repeated(self, evaluate: Evaluate) -> Evaluate:
        """See ``Backend``; every call gives tensors of its own."""
        return evaluate

    def release(self) -> None:
        """See ``Backend``: nothing is kept."""

    def to_device(self, array: np.ndarray) -> ort.OrtValue:
        """See ``Backend``."""
        return ort.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), self.kind, self.index)

    def to_numpy(self, tensor: ort.OrtValue) -> np.ndarray:
        """See ``Backend``."""
        return np.array(tensor.numpy())  # what it gives may be a view of memory that it frees

    def _model(self, nodes: Sequence[NodeProto], outputs: Sequence[str], types: Mapping[str, int]) -> onnx.ModelProto:
        """A model of those nodes; what they read and nobody computes is an input."""
        nodes = needed(nodes, outputs)
        produced = {name for node in nodes for name in node.output}
        read = dict.fromkeys([*(name for node in nodes for name in node.input if name), *outputs])
        inputs = [name for name in read if name not in produced and name not in self.constants]
        wires = [helper.make_node("Identity", [name], [f"{name}/same"]) for name in outputs if name not in produced]
        if wires:
            raise ArtifactError(f"the artifact does not compute {wires[0].input[0]}; compile it again")
        graph = helper.make_graph(
            nodes,
            "part",
            [helper.make_tensor_value_info(name, types.get(name, onnx.TensorProto.FLOAT), None) for name in inputs],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [self.constants[name] for name in read if name in self.constants],
        )
        model = helper.make_model(graph, opset_imports=self.parts.opsets, functions=self.parts.functions)
        model.ir_version = self.parts.ir_version
        return model

    def _session(self, model: onnx.ModelProto) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = _threads()
        providers = [(self.provider, {"device_id": self.index})] if self.kind == "cuda" else [self.provider]
        try:  # without the fallback, which would run on another device than the one asked for
            session = ort.InferenceSession(model.SerializeToString(), options, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime raises many types, none public
            kind = DeviceError if type(error).__name__ == "EPFail" else ArtifactError
            raise kind(f"onnxruntime cannot load the artifact: {str(error).splitlines()[0][:300]}") from error
        if self.provider not in session.get_providers():
            raise DeviceError(
                f"{self.provider} does not start here (no GPU, or its libraries are missing); use device cpu"
            )
        return session


def _threads() -> int:
    """What OMP_NUM_THREADS asks for on the outermost level ("4,2" is a number for each); 0: onnxruntime chooses."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if _is_number(first) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
