"""The contenders of one row: dense passes, our runtime, the artifact in onnxruntime, SpikingJelly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.speed import spikingjelly
from benchmarks.speed.networks import Files, feeds, torch_module
from spikec.contenders import onnx_run, passes_of, session_run, torch_run
from spikec.runtime import Session
from spikec.timing import Contender, Work

DENSE = ("dense torch", "dense torch.compile", "dense onnxruntime")  # in float32: the fastest is the yardstick
DENSE_BFLOAT16 = "dense torch.compile bfloat16"
LAYERS, LAYERS_BFLOAT16, LAYERS_INT8 = "layers", "layers bfloat16", "layers int8"
PRECISIONS = {LAYERS: "float32", LAYERS_BFLOAT16: "bfloat16", LAYERS_INT8: "int8"}  # layer by layer
STEPS, STOCK = "steps", "artifact in onnxruntime"
CONTENDERS = (*DENSE, DENSE_BFLOAT16, LAYERS, LAYERS_BFLOAT16, LAYERS_INT8, STEPS, STOCK, *spikingjelly.MODES)


@dataclass(frozen=True)
class Cell:
    """What is timed: a network, so many samples at once, T steps, on a device; ``limit`` in seconds a call."""

    files: Files
    batch: int
    steps: int
    device: str = "cpu"
    limit: float | None = None


def contenders(cell: Cell, names: Sequence[str]) -> list[Contender]:
    """Those of ``names``, in the order of the table."""
    makers = _makers(cell)
    found = []
    for name in (name for name in CONTENDERS if name in names):
        scale = cell.steps / passes_of(cell.steps) if name.startswith("dense") else 1.0
        # whatever stops one engine is told in its cell
        found.append(Contender(name, makers[name], scale, excused=(Exception,)))
    return found


def usual(device: str) -> tuple[str, ...]:
    """The contenders that are timed by default: nobody is measured against dense bfloat16 passes on the CPU, which is
    where int8 is served."""
    return tuple(name for name in CONTENDERS if name != (DENSE_BFLOAT16 if device == "cpu" else LAYERS_INT8))


def precisions(device: str) -> dict[str, str]:
    """Those of ``PRECISIONS`` that are timed there by default."""
    return {name: precision for name, precision in PRECISIONS.items() if name in usual(device)}


def _makers(cell: Cell) -> dict[str, Callable[[], Work]]:
    device, repeat, network = cell.device, passes_of(cell.steps), cell.files.network
    source, artifact = cell.files.source, cell.files.artifact(cell.steps)
    fed = feeds(source, cell.batch)
    (x,) = fed.values()
    dense, ours = partial(_dense, network, x=x, device=device, repeat=repeat), partial(_ours, cell, fed)
    converted = cache(lambda: spikingjelly.converted(torch_module(network), x[:4], device))
    jelly = {
        name: partial(spikingjelly.step_run, converted, mode, x, cell.steps, device)
        for name, mode in spikingjelly.MODES.items()
    }
    return {
        "dense torch": dense,
        "dense torch.compile": partial(dense, compiled=True),
        "dense onnxruntime": partial(onnx_run, str(source), fed, device, repeat, cell.limit),
        DENSE_BFLOAT16: partial(dense, compiled=True, bfloat16=True),
        **{name: partial(ours, evaluation="layers", precision=precision) for name, precision in PRECISIONS.items()},
        STEPS: partial(ours, evaluation="steps"),
        STOCK: partial(onnx_run, str(artifact), fed, device, limit=cell.limit),
        **jelly,
    }


def _dense(network: str, *, x: np.ndarray, **how: Any) -> Work:
    return torch_run(torch_module(network), (x,), **how)


def _ours(cell: Cell, fed: dict[str, np.ndarray], **how: str) -> Work:
    return session_run(Session(cell.files.artifact(cell.steps), device=cell.device, **how), fed, cell.steps)
