"""What ``spikec bench`` times: one artifact in several ways, and dense passes of the model it was made from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.calibration import Dataset, InputSpec, load_npz, random_data, signature
from spikec.contenders import onnx_run, passes_of, session_run, torch_run
from spikec.errors import UsageError
from spikec.frontends import load_model
from spikec.runtime import InputError, Session, read_manifest, read_model
from spikec.runtime.backend import LAYERED
from spikec.timing import Contender, Timings, Work

STOCK = "artifact in onnxruntime"
DENSE = "dense"  # what the names of the yardstick's contenders begin with


@dataclass(frozen=True)
class Setting:
    """How the artifact is run; the words are those of ``Session``."""

    backend: str = "torch"
    device: str = "cpu"
    precision: str = "float32"
    evaluation: str = "auto"


@dataclass(frozen=True)
class Subject:
    """An artifact with the samples that it is timed on."""

    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    steps: int
    all_steps: int
    form: str

    @property
    def batch(self) -> int:
        """The number of samples."""
        return len(next(iter(self.feeds.values())))

    @classmethod
    def of(cls, artifact: str, data: Path | None, batch: int | None, steps: int | None) -> "Subject":
        """The artifact with ``batch`` samples of ``data``, or random ones (as many as a fixed batch has, or 1).

        Raises:
            UsageError, ArtifactError: the file, the data, the batch or the steps do not fit.
        """
        model = read_model(artifact)
        manifest = read_manifest(model, artifact)
        limit = manifest.steps
        if steps is not None and not 1 <= steps <= limit:
            raise InputError(f"{steps} steps asked; this artifact runs 1 to {limit} (compile it with more --steps)")
        specs = [spec for spec in signature(model) if spec.name in manifest.inputs]
        samples = _samples(specs, data, batch)
        return cls(model, samples, steps or limit, limit, manifest.form)


def contenders(subject: Subject, setting: Setting, against: str | None) -> tuple[list[Contender], dict[str, str]]:
    """Who is timed, and by name why others are not.

    Raises:
        UsageError, ModelError: there is no such model to compare with, or it takes other inputs.
    """
    found = _own(subject, setting)
    left_out = {}
    if subject.form == "step":
        left_out[STOCK] = "form step holds one step alone"
    elif subject.steps < subject.all_steps:
        left_out[STOCK] = f"it always takes all {subject.all_steps} steps"
    else:
        content = subject.model.SerializeToString
        found.append(Contender(STOCK, lambda: onnx_run(content(), subject.feeds, setting.device), excused=(Exception,)))
    return found + (_dense(subject, setting.device, against) if against else []), left_out


def report(timings: Timings, steps: int) -> dict[str, Any]:
    """A row for each contender: seconds, seconds a step, ratio to the fastest dense passes, first call, peak memory."""
    dense = {name: t.seconds for name, t in timings.items() if name.startswith(DENSE) and t.seconds}
    yardstick = min(dense, key=lambda name: dense[name]) if dense else None
    rows = []
    for name, timing in timings.items():
        seconds = timing.seconds
        rows.append(
            {
                "name": name,
                "seconds": seconds,
                "seconds_per_step": None if seconds is None else seconds / steps,
                "ratio": None if seconds is None or yardstick is None else seconds / dense[yardstick],
                "first_seconds": timing.first,
                "peak_bytes": timing.peak,
                "reason": timing.reason,
            }
        )
    return {"yardstick": yardstick, "rows": rows}


def _samples(specs: list[InputSpec], data: Path | None, batch: int | None) -> dict[str, np.ndarray]:
    if data is None:
        fixed = next((spec.batch for spec in specs if spec.batch), None)
        return random_data(specs, seed=0, samples=batch or fixed or 1).feeds
    found: Dataset = load_npz(data, specs)
    if batch is not None and batch > len(found):
        raise UsageError(f"--batch {batch}, but {data} has only {len(found)} samples")
    return found.head(batch or len(found))


def _own(subject: Subject, setting: Setting) -> list[Contender]:
    """The artifact as asked; with backend torch also in the ways of evaluation that were not asked for."""

    def work(precision: str, evaluation: str) -> Work:
        session = Session(subject.model, setting.backend, setting.device, precision, evaluation)
        return session_run(session, subject.feeds, subject.steps)

    asked = f"{setting.backend} {setting.precision}, {setting.evaluation}"
    found = [Contender(asked, partial(work, setting.precision, setting.evaluation))]
    if setting.backend != "torch" or subject.form == "unrolled":
        return found
    plain = "float32" if setting.precision in LAYERED else setting.precision  # which has no step by step
    for precision, evaluation in ((setting.precision, "layers"), (plain, "steps")):
        name = f"torch {precision}, {evaluation}"
        if name != asked:
            found.append(Contender(name, partial(work, precision, evaluation)))
    return found


def _dense(subject: Subject, device: str, against: str) -> list[Contender]:
    """T dense passes of the model in onnxruntime, and of a timm model also in torch, as it is and compiled."""
    source, feeds = load_model(against), subject.feeds
    wanted = [spec.name for spec in signature(source.model)]
    if set(wanted) != set(feeds):
        raise UsageError(f"{against} takes {', '.join(wanted)}, the artifact {', '.join(feeds)}; give its own source")
    repeat = passes_of(subject.steps)
    scale = subject.steps / repeat
    content = source.model.SerializeToString
    makers: dict[str, Callable[[], Work]] = {
        f"{DENSE} onnxruntime": lambda: onnx_run(content(), feeds, device, repeat),
    }
    if source.kind == "timm":
        arrays = tuple(feeds[name] for name in wanted)
        plain = partial(_timm, against, arrays, device, repeat)
        makers |= {f"{DENSE} torch": plain, f"{DENSE} torch.compile": partial(plain, compiled=True)}
    return [Contender(name, make, scale, excused=(Exception,)) for name, make in makers.items()]


def _timm(name: str, arrays: tuple[np.ndarray, ...], device: str, repeat: int, *, compiled: bool = False) -> Work:
    from spikec.frontends.timm_model import make_timm

    module, _, _ = make_timm(name)
    return torch_run(module, arrays, device, repeat, compiled=compiled)
