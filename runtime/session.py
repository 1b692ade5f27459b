"""Runs an artifact: all steps at once, or step by step."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.runtime.backend import make_backend
from spikec.runtime.counting import Counter
from spikec.runtime.errors import InputError
from spikec.runtime.inputs import Feeds, batches, check_inputs, why_failed
from spikec.runtime.manifest import Manifest
from spikec.runtime.model_file import read_model
from spikec.runtime.parts import take_apart
from spikec.runtime.result import Arrays, Result, Step
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.unrolled import Unrolled

BATCH = 64  # samples evaluated at once; states of all neurons are kept for each


class Session:
    """A compiled network, ready to run.

    Args:
        artifact: path to the ``.onnx`` file, its bytes, or the model itself.
        backend: ``torch`` or ``onnxruntime``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``float32``, or ``float64`` (backend torch).

    Raises:
        ArtifactError: the file is no artifact that this runtime can read.
        DeviceError: the device or the backend's package is not there.
    """

    def __init__(
        self,
        artifact: str | Path | bytes | onnx.ModelProto,
        backend: str = "torch",
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        self._parts = take_apart(read_model(artifact))
        engine = make_backend(backend, self._parts, device, precision)
        kind = Unrolled if self.manifest.form == "unrolled" and self.manifest.states else Stepwise
        self._program: Stepwise | Unrolled = kind(self._parts, engine)

    @property
    def manifest(self) -> Manifest:
        """What the artifact says of itself."""
        return self._parts.manifest

    def run(
        self,
        x: np.ndarray | Mapping[str, np.ndarray],
        steps: int | Sequence[int] | None = None,
        *,
        spikes: bool = True,
        batch_size: int = BATCH,
        progress: Any = None,
    ) -> Result:
        """Outputs after each of the asked numbers of steps.

        Args:
            x: samples (N, ...): an array for a network with one input, or one array an input by name.
            steps: one or several numbers from 1 to T; all T by default.
            spikes: whether to count spikes.
            batch_size: samples evaluated at once.
            progress: called with (samples done, samples in all) after each batch.

        Raises:
            InputError: names, types, shapes or step numbers do not fit.
        """
        feeds = check_inputs(x, self._parts.inputs)
        asked = self._asked(steps)
        counter = Counter(self.manifest.neurons) if spikes else None
        found: dict[int, list[Arrays]] = {t: [] for t in asked}
        total, done = len(next(iter(feeds.values()))), 0
        for batch, count in batches(feeds, self._parts.inputs, batch_size):
            for t, outputs in self._evaluate(batch, asked, counter, count).items():
                found[t].append({name: value[:count] if value.ndim else value for name, value in outputs.items()})
            done += count
            if progress is not None:
                progress(done, total)
        joined = {t: _join(parts) for t, parts in found.items()}
        return Result(joined, counter.counts() if counter else {})

    def stream(self, x: np.ndarray | Mapping[str, np.ndarray], steps: int | None = None) -> Iterator[Step]:
        """One ``Step`` after the other: outputs so far, and the spikes sent.

        Args:
            x: one batch of samples, as for ``run``.
            steps: how many; all T by default.

        Raises:
            InputError: as for ``run``.
        """
        feeds = check_inputs(x, self._parts.inputs)
        last = self._asked(steps)[-1]
        yield from self._program.stream(feeds, last)

    def _evaluate(self, batch: Feeds, asked: list[int], counter: Counter | None, count: int) -> dict[int, Arrays]:
        try:
            return self._program.run(batch, asked, counter, count)
        except RuntimeError as error:  # both engines' word for tensors that do not fit together
            explained = why_failed(error, batch, self._parts.inputs)
            if explained is None:
                raise
            raise explained from error

    def _asked(self, steps: int | Sequence[int] | None) -> list[int]:
        limit = self.manifest.steps
        asked = [limit] if steps is None else list(steps) if isinstance(steps, Iterable) else [steps]
        if not asked or any(not 1 <= t <= limit for t in asked):
            raise InputError(
                f"steps {asked or 'none'} asked; this artifact runs 1 to {limit} (compile it with more --steps)"
            )
        return sorted(set(asked))


def _join(parts: list[Arrays]) -> Arrays:
    """Batches put together along the sample axis (values without one are the same in every batch)."""
    first = parts[0]
    return {n: np.concatenate([p[n] for p in parts]) if first[n].ndim else first[n] for n in first}
