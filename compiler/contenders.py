"""Ways to compute what an artifact computes, ready to be timed: ours, the artifact in onnxruntime, T dense passes."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikec.errors import EnvironmentMissing
from spikec.runtime import Session
from spikec.timing import TooLong, Work

Feeds = Mapping[str, np.ndarray]
PASSES = 4  # dense passes in one call: a single one is too short to be timed well


def passes_of(steps: int) -> int:
    """How many dense passes one call makes that stands for ``steps`` of them."""
    return min(steps, PASSES)


def session_run(session: Session, feeds: Feeds, steps: int) -> Work:
    """A run of ``steps`` steps; outputs come back as arrays, spikes are not counted."""
    return Work(lambda: session.run(feeds, steps, spikes=False), session.release)


def onnx_run(
    model: str | bytes, feeds: Feeds, device: str = "cpu", repeat: int = 1, limit: float | None = None
) -> Work:
    """The model in onnxruntime ``repeat`` times, with as many threads as torch has.

    Args:
        model: a file's path, or its bytes.
        feeds: by name.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        repeat: times that one call evaluates the model.
        limit: seconds after which a run is stopped, which raises ``TooLong``.

    Raises:
        EnvironmentMissing: this onnxruntime does not know the device.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(model, _options(ort), providers=[_provider(ort, device)])
    fed = {name: array for name, array in feeds.items() if name in {info.name for info in session.get_inputs()}}

    def run() -> None:
        for _ in range(repeat):
            _stoppable(session, fed, limit, ort.RunOptions())

    def release() -> None:
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", f"{device.partition(':')[0]}:0")
        _stoppable(session, fed, limit, options)

    return Work(run, release)


def _options(ort: Any) -> Any:
    import torch

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    return options


def _provider(ort: Any, device: str) -> Any:
    kind, _, index = device.partition(":")
    name = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[kind]
    if name not in ort.get_available_providers():
        raise EnvironmentMissing(f"this onnxruntime has no {name}")
    return (name, {"device_id": int(index or 0)}) if kind == "cuda" else name


def _stoppable(session: Any, feeds: Feeds, limit: float | None, options: Any) -> None:
    """A run that another thread stops when it takes too long: Python has no turn before it is over."""
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        options.terminate = True

    timer = threading.Timer(limit, stop) if limit is not None else None
    if timer:
        timer.start()
    try:
        session.run(None, feeds, options)
    except Exception as error:  # onnxruntime raises many types, none public
        if stopped.is_set():
            raise TooLong from error
        raise
    finally:
        if timer:
            timer.cancel()


def torch_run(
    module: Any, arrays: tuple[np.ndarray, ...], device: str = "cpu", repeat: int = 1, *, compiled: bool = False,
    bfloat16: bool = False,
) -> Work:  # fmt: skip
    """``repeat`` dense passes of a torch module, images channels last, which is what torch is fastest with.

    Args:
        module: in evaluation mode when it runs; it is moved to the device and changed to the type.
        arrays: its inputs, in order.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        repeat: passes that one call makes.
        compiled: through torch.compile.
        bfloat16: weights and inputs of that type.
    """
    import torch

    dtype = torch.bfloat16 if bfloat16 else torch.float32
    order = torch.channels_last
    module = module.eval().to(device=device, dtype=dtype).to(memory_format=order)
    forward = torch.compile(module) if compiled else module
    inputs = [torch.from_numpy(array).to(device) for array in arrays]
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    inputs = [x.contiguous(memory_format=order) if x.ndim == 4 else x for x in inputs]

    @torch.inference_mode()
    def run() -> None:
        for _ in range(repeat):
            forward(*inputs)
        if device != "cpu":
            torch.cuda.synchronize(device)

    return Work(run)
