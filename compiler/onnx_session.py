"""Runs ONNX models in onnxruntime: the compiler's own measuring instrument."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort

from spikec.errors import EnvironmentMissing, ModelError

CPU = "CPUExecutionProvider"
Feeds = Mapping[str, np.ndarray]


def open_session(
    model: onnx.ModelProto, *, as_written: bool = False, provider: str = CPU, device: int = 0
) -> ort.InferenceSession:
    """An onnxruntime session for ``model``.

    Args:
        model: any valid one.
        as_written: node by node, nothing fused or rearranged.
        provider: onnxruntime's name of it; operators that it does not have run on the CPU.
        device: the number of its device, where it has several.

    Raises:
        ModelError: onnxruntime refuses the model; its reason is passed on.
        EnvironmentMissing: the provider does not start.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    try:
        providers = [CPU] if provider == CPU else [(provider, {"device_id": device}), CPU]
        session = ort.InferenceSession(model.SerializeToString(), options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises many types, none public
        kind = EnvironmentMissing if type(error).__name__ == "EPFail" else ModelError
        raise kind(f"onnxruntime cannot load the model: {_first_line(error)}") from error
    if provider not in session.get_providers():
        raise EnvironmentMissing(f"{provider} does not start here (no device, or its libraries are missing)")
    return session


def run_model(model: onnx.ModelProto, feeds: Feeds, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The outputs of ``model`` (all, or those named) for one batch."""
    return run_session(open_session(model), feeds, outputs)


def run_session(
    session: ort.InferenceSession, feeds: Feeds, outputs: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The outputs of an open session for one batch.

    Raises:
        ModelError: onnxruntime fails on this input; its reason is passed on.
    """
    names = list(outputs) if outputs is not None else [output.name for output in session.get_outputs()]
    try:
        values = session.run(names, dict(feeds))
    except Exception as error:  # as above
        raise ModelError(f"onnxruntime cannot run the model: {_first_line(error)}") from error
    return dict(zip(names, values, strict=True))


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of ``model`` that gives out the float32 tensors ``names`` too."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    for name in dict.fromkeys(names):
        if name not in known:
            copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return copy


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__
