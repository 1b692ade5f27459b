"""Runs an artifact: all steps at once, or step by step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spikec.runtime.backend import make_backend
from spikec.runtime.counting import Counter
from spikec.runtime.early_exit import EarlyExit
from spikec.runtime.errors import InputError
from spikec.runtime.evaluation import make_program
from spikec.runtime.exit_rules import Rule
from spikec.runtime.inputs import (
    ENGINE_ERRORS,
    Feeds,
    batches,
    check_inputs,
    fixed_batch,
    whole_number,
    whole_numbers,
    why_failed,
)
from spikec.runtime.manifest import Manifest
from spikec.runtime.model_file import read_model
from spikec.runtime.outputs import join
from spikec.runtime.parts import take_apart
from spikec.runtime.result import Arrays, EarlyResult, Result, Step
from spikec.runtime.sample_axes import Cutter
from spikec.runtime.stepwise import BATCH


class Session:
    """A compiled network, ready to run.

    Args:
        artifact: path to the ``.onnx`` file, its bytes, or the model itself.
        backend: ``torch`` or ``onnxruntime``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``float32``; with backend torch also ``float64``, and layer by layer, with states in float32,
            ``bfloat16`` (convolutions and matrix products in bfloat16) and ``int8`` (weights that meet spikes in 8
            bits; on the CPU).
        evaluation: ``steps`` evaluates the whole network once a step, ``layers`` each layer for all steps at once
            (backend torch; step by step where time cannot be folded, with a warning that names the node), ``auto``
            layer by layer where a batch has enough work for it.
        memory_budget: bytes that evaluation layer by layer may hold for the steps it takes at once (by default 2 GiB,
            on CUDA a quarter of the memory that is free).

    Raises:
        ArtifactError: the file is no artifact that this runtime can read.
        InputError: there is no such file, or ``artifact`` is nothing of the three.
        DeviceError: the device or the backend's package is not there.
    """

    def __init__(
        self,
        artifact: str | Path | bytes | onnx.ModelProto,
        backend: str = "torch",
        device: str = "cpu",
        precision: str = "float32",
        evaluation: str = "auto",
        memory_budget: int | None = None,
    ) -> None:
        self._parts = take_apart(read_model(artifact))
        engine = make_backend(backend, self._parts, device, precision)
        self._program = make_program(self._parts, engine, backend, precision, evaluation, memory_budget)
        self._cutter = Cutter(self._program, self._parts)

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
        batch_size: int | None = None,
        progress: Any = None,
    ) -> Result:
        """Outputs after each of the asked numbers of steps.

        Samples are evaluated batch by batch where a look at one sample and at two shows that every output has one row
        a sample along its first axis and that every neuron's events follow the number of samples. Else (an output
        that is a number, a constant, a shape, or has its samples elsewhere) all samples are evaluated in one batch,
        whatever ``batch_size`` says. Samples that change each other's rows are not noticed: give all of them one batch.
        An artifact made for a fixed number of samples takes just as many at once; an output of another length has to
        be the same for all of them.

        Args:
            x: samples (N, ...): an array for a network with one input, or one array an input by name.
            steps: one or several numbers from 1 to T; all T by default.
            spikes: whether to count spikes.
            batch_size: samples evaluated at once; by default as many as suit the way of evaluation.
            progress: called with (samples done, samples in all) after each batch.

        Raises:
            InputError: names, types, shapes or step numbers do not fit.
        """
        feeds = check_inputs(x, self._parts.inputs)
        asked = self._asked(steps)
        with self._explaining(feeds):
            evaluate, suited = self._program.suited(feeds, asked[-1], fixed_batch(self._parts.inputs))
        size = suited if batch_size is None else whole_number(batch_size, "batch_size")
        size, axes = self._cutter.cut(feeds, size, counting=spikes)
        counter = Counter(self.manifest.neurons, axes) if spikes else None
        found: dict[int, list[Arrays]] = {t: [] for t in asked}
        total, done = len(next(iter(feeds.values()))), 0
        for batch, count in batches(feeds, self._parts.inputs, size):
            with self._explaining(batch):
                outputs = evaluate(batch, asked, counter, count)
            for t in asked:
                found[t].append(outputs[t])
            done += count
            if progress is not None:
                progress(done, total)
        fixed = fixed_batch(self._parts.inputs)
        return Result({t: join(parts, total, fixed) for t, parts in found.items()}, counter.counts() if counter else {})

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
        with self._explaining(feeds):
            yield from self._program.stream(feeds, last)

    def run_until(
        self,
        x: np.ndarray | Mapping[str, np.ndarray],
        rule: Rule,
        *,
        steps: int | None = None,
        batch_size: int | None = None,
        output: str | None = None,
        progress: Any = None,
    ) -> EarlyResult:
        """Step by step, each sample until ``rule`` says that it is finished (``spikec.runtime.exit_rules``).

        Samples that are finished leave the batch. Under ``Certified`` no spike that is left could have changed the
        class. (A matrix library may round a sample differently in a batch of another size, as in ``run``.)

        Args:
            x: samples, as for ``run``.
            rule: ``Stability``, ``Margin``, ``Certified``, or one of your own.
            steps: after how many all samples leave; T by default.
            batch_size: samples evaluated at once; 64 by default.
            output: the output that tells the class; by default the first one of classes, else of scores (N, classes).
            progress: called with (samples done, samples in all) after each batch.

        Raises:
            InputError: as for ``run``; or the artifact has no class scores, no steps to stop between, samples that are
                not separate, or nothing to certify with. The message says which.
        """
        feeds = check_inputs(x, self._parts.inputs)
        last, size = self._asked(steps)[-1], whole_number(BATCH if batch_size is None else batch_size, "batch_size")
        with self._explaining(feeds):
            return self._early.run_until(feeds, rule, last, size, output, progress)

    def release(self) -> None:
        """Give back the memory that is kept between runs: recorded CUDA graphs, which the next run records anew."""
        self._program.release()

    @cached_property
    def _early(self) -> EarlyExit:
        return EarlyExit(self._parts, self._program.engine)

    @contextmanager
    def _explaining(self, feeds: Feeds) -> Iterator[None]:
        """Says what is wrong with the samples where an engine fails on them."""
        try:
            yield
        except ENGINE_ERRORS as error:
            explained = why_failed(error, feeds, self._parts.inputs)
            if explained is None:
                raise
            raise explained from error

    def _asked(self, steps: int | Sequence[int] | None) -> list[int]:
        limit = self.manifest.steps
        asked = [limit] if steps is None else whole_numbers(steps, "steps")
        if not asked or any(not 1 <= t <= limit for t in asked):
            raise InputError(
                f"steps {asked or 'none'} asked; this artifact runs 1 to {limit} (compile it with more --steps)"
            )
        return sorted(set(asked))
