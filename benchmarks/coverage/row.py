"""One family of the table: its smallest model, exported, converted and run."""

import os
import traceback
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
import onnx

import spikec
from benchmarks.coverage.random_weights import draw_zero_weights
from spikec.equivalence import relative_distance
from spikec.errors import SpikecError
from spikec.frontends import load_model
from spikec.onnx_session import run_model
from spikec.options import Options
from spikec.pipeline import Levels, build_levels
from spikec.prepared import Prepared
from spikec.runtime import Session

TIMES = (16, 32, 64)
CALIBRATION, SAMPLES = 4, 2  # images: standard normal numbers of the model's own size
STATE_COPIES = 2  # a step makes new states out of the old ones
GB = 1e9
LEVELS_EQUAL = 1e-3  # relative L2 distance of levels 1 to 3 from the source


@dataclass
class Row:
    """What became of one model.

    ``stage`` is the last that it passed: none, export, plan, levels, run. ``distances`` by T are relative L2 distances
    of the SNN's output from the ANN's; ``variation`` is the part of the ANN's output that differs between the samples,
    in the same measure; ``notes`` tell what had to be done to judge it.
    """

    family: str
    model: str
    parameters: int
    stage: str = "none"
    levels: float | None = None
    distances: dict[int, float] = field(default_factory=dict)
    variation: float | None = None
    neurons: int | None = None
    neuron_nodes: int | None = None
    seconds: float = 0.0
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Row":
        """The inverse of ``as_dict``."""
        return cls(**{**raw, "distances": {int(t): value for t, value in raw["distances"].items()}})


def measure(family: str, model: str, parameters: int, in_time: bool = True) -> Row:
    """Take the model as far as it goes; the first reason of a failure is in the row.

    Without ``in_time`` that is as far as level 3: no time step is run.
    """
    row, start = Row(family, model, parameters), perf_counter()
    try:
        _convert(row, _export(row), in_time)
    except SpikecError as error:
        row.reason = str(error)
    except Exception as error:  # whatever else is raised is a fault of the compiler, and the table says so
        row.reason = f"INTERNAL {type(error).__name__}: {error}; {traceback.format_exc().splitlines()[-3].strip()}"
    row.seconds = perf_counter() - start
    return row


def _export(row: Row) -> onnx.ModelProto:
    """The exported model; where torch fails, once more with timm's layers that are made for export."""
    try:
        model = load_model(f"timm:{row.model}").model
    except SpikecError:
        model = load_model(f"timm:{row.model}?exportable=true").model
        row.notes.append("exported with exportable=true")
    row.stage = "export"
    drawn = draw_zero_weights(model)
    if drawn:
        row.notes.append(f"{drawn} weights that start at zero were drawn")
    return model


def _convert(row: Row, model: onnx.ModelProto, in_time: bool) -> None:
    plan = spikec.plan(model)
    summary = plan.as_dict()["summary"]
    row.neurons, row.neuron_nodes = summary["neurons_per_sample"], summary["neuron_nodes"]
    if plan.unsupported:
        first = plan.unsupported[0]
        row.reason = f"node '{first.name}' ({first.op}): {first.detail}"
        return
    row.stage = "plan"
    unfit = _beyond_memory(summary)
    images = _images(model, CALIBRATION, seed=1)
    prepared = spikec.prepare(model, calibration=images) if in_time and not unfit else None
    row.levels = _farthest(prepared.levels if prepared else build_levels(model, Options(), {_input(model): images}))
    if row.levels > LEVELS_EQUAL:
        row.reason = f"levels 1 to 3 differ from the source by {row.levels:.1e}"
        return
    row.stage = "levels"
    row.reason = unfit
    if prepared:
        _run(row, model, prepared)
    elif not unfit:
        row.notes.append("not run over time, as asked with --levels-only")


def _run(row: Row, model: onnx.ModelProto, prepared: Prepared) -> None:
    x = _images(model, SAMPLES, seed=0)
    ann = _flat(run_model(model, {_input(model): x}))
    row.variation = relative_distance(ann, np.broadcast_to(ann.mean(axis=0), ann.shape))
    for steps in TIMES:
        found = Session(prepared.compile(steps=steps).model).run(x, spikes=False).final
        row.distances[steps] = relative_distance(_flat(found), ann)
    row.stage = "run"


def _beyond_memory(summary: dict[str, Any]) -> str:
    """Why this machine cannot run the network over time, or nothing where it can."""
    states, memory = SAMPLES * (summary["state_bytes_per_sample"] or 0), _memory()
    if STATE_COPIES * states <= memory:
        return ""
    return (
        f"the states of {SAMPLES} samples take {states / GB:.1f} GB, before and after a step {STATE_COPIES} times "
        f"that; this machine has {memory / GB:.1f} GB: run it with one sample at a time on a larger one"
    )


def _farthest(levels: Levels) -> float:
    return max(levels.distances.values())


def _input(model: onnx.ModelProto) -> str:
    return str(model.graph.input[0].name)


def _memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _images(model: onnx.ModelProto, samples: int, seed: int) -> np.ndarray:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(seed).standard_normal((samples, *shape[1:])).astype(np.float32)


def _flat(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """(samples, all outputs)."""
    return np.concatenate([value.reshape(len(value), -1) for value in outputs.values()], axis=1)
