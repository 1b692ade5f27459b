"""Early exit: step by step, each sample leaves the batch when a rule says that it is finished."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikec.runtime.backend import Backend, Evaluate
from spikec.runtime.certificate import Certificate, Layout
from spikec.runtime.errors import InputError
from spikec.runtime.exit_record import Record
from spikec.runtime.exit_rules import Rule, Standing, class_output, classes, score_output
from spikec.runtime.inputs import Feeds, batches, fixed_batch
from spikec.runtime.linear_path import LinearPath, find_linear_path
from spikec.runtime.outputs import join
from spikec.runtime.parts import CLOCK, Parts, needed
from spikec.runtime.result import Arrays, EarlyResult
from spikec.runtime.sample_axes import find_sample_axes
from spikec.runtime.sample_rows import SampleRows, find_sample_rows
from spikec.runtime.stepwise import Stepwise, Tensors

Progress = Callable[[int, int], None]
Shapes = tuple[tuple[int, ...], ...]


@dataclass
class _Batch:
    """The samples that still need steps."""

    feeds: Feeds
    held: Tensors
    states: Tensors

    @property
    def size(self) -> int:
        return len(next(iter(self.feeds.values())))

    @property
    def shapes(self) -> Shapes:
        return tuple(array.shape[1:] for array in self.feeds.values())


class EarlyExit(Stepwise):
    """Evaluates an artifact of form loop or step until every sample is finished.

    Raises:
        InputError: the artifact or the precision has no evaluation step by step, or takes several samples at once only.
    """

    def __init__(self, parts: Parts, engine: Backend) -> None:
        if parts.manifest.form == "unrolled" and parts.manifest.states:
            raise InputError("in form unrolled all steps are one graph without exits; compile it with --form loop")
        if getattr(engine, "layered", False):
            raise InputError("early exit goes step by step, in float32; make the session with precision float32")
        fixed = fixed_batch(parts.inputs)
        if fixed and fixed > 1:
            raise InputError("the artifact takes a fixed number of samples at once; export it with a dynamic batch")
        super().__init__(parts, engine)
        self._single = fixed == 1
        self._rows: dict[Shapes, SampleRows] = {}
        self._renewing: Evaluate | None = None
        self._certificates: dict[tuple[Shapes, str, int], tuple[LinearPath, Certificate]] = {}

    def run_until(
        self, feeds: Feeds, rule: Rule, steps: int, size: int, output: str | None, progress: Progress | None
    ) -> EarlyResult:
        """All samples of ``feeds``, at most ``size`` at once, for ``steps`` steps at most.

        Classes are those of ``output``, by default of the first one that has any.
        """
        if output is not None and output not in self.parts.manifest.outputs:
            raise InputError(f"there is no output '{output}'; choose one of {', '.join(self.parts.manifest.outputs)}")
        records: list[Record] = []
        total, done = len(next(iter(feeds.values()))), 0
        for batch, count in batches(feeds, self.parts.inputs, size):
            records.append(self.until(batch, rule, steps, output))
            done += count
            if progress is not None:
                progress(done, total)
        outputs = join([record.outputs for record in records], total, None)
        return EarlyResult(outputs, np.concatenate([record.steps for record in records]), steps)

    def until(self, feeds: Feeds, rule: Rule, steps: int, output: str | None = None) -> Record:
        """One batch: what each sample has said when it left, and after how many steps."""
        batch = self._started(feeds)
        record = Record(batch.size)
        rows = self._sample_rows(batch) if batch.size > 1 else SampleRows({})
        for t in range(1, steps + 1):
            tensors = self._step(batch, t)
            outputs = _by_sample(self._outputs(tensors), batch.size)
            told = outputs if output is None else {output: outputs[output]}
            record.see(classes(told[class_output(told)]))
            standing = self._standing(batch, record, told, tensors, t, steps)
            done = rule.finished(standing) | (t == steps)
            record.leave(outputs, done, t)
            if done.all():
                break
            if done.any():
                self._take_out(batch, rows, done)
        return record

    def _started(self, feeds: Feeds) -> _Batch:
        tensors = self._begin(feeds)
        held = {name: tensors[name] for name in self.parts.manifest.held}
        return _Batch(feeds, held, {state.name: tensors[state.initial] for state in self.states})

    def _repeated(self, graph: Evaluate) -> Evaluate:
        return graph  # not recorded: whenever samples leave, the shapes are others

    def _step(self, batch: _Batch, t: int) -> Tensors:
        """Held tensors, and states after the step that is the ``t``-th, counted from 1."""
        if not self.states:
            return batch.held
        clock = self.engine.to_device(np.array(t - 1, np.int64))
        after = self._advance(False)({**batch.held, **batch.states, CLOCK: clock})
        batch.states = {state.name: after[state.next] for state in self.states}
        return {**batch.held, **after}

    def _standing(
        self, batch: _Batch, record: Record, outputs: Arrays, tensors: Tensors, t: int, steps: int
    ) -> Standing:
        def decided() -> np.ndarray:
            path, certificate = self._certificate(batch, class_output(outputs), steps)
            return certificate.decided(self.engine.to_numpy(tensors[path.scores]), t)

        return Standing(record.unchanged, lambda: outputs[score_output(outputs)], decided)

    def _take_out(self, batch: _Batch, rows: SampleRows, done: np.ndarray) -> None:
        """Samples that are finished leave; what depends on the number of samples is computed anew."""
        batch.feeds = {name: array[~done] for name, array in batch.feeds.items()}
        batch.states = rows.keep(self.engine, batch.states, ~done)
        batch.held = rows.keep(self.engine, batch.held, ~done)
        if rows.renewed:
            if self._renewing is None:
                nodes = needed(self.parts.init, rows.renewed)
                self._renewing = self.engine.graph(nodes, rows.renewed, self._types)
            fed = {name: self.engine.to_device(array) for name, array in batch.feeds.items()}
            batch.held |= self._renewing(fed)

    def _sample_rows(self, batch: _Batch) -> SampleRows:
        if batch.shapes not in self._rows:
            if not find_sample_axes(self, batch.feeds, self.parts.manifest.neurons).separate:
                raise InputError(
                    "the outputs or events do not hold samples apart, so that those that are finished cannot be taken "
                    "out of a batch; use batch_size=1"
                )
            self._rows[batch.shapes] = find_sample_rows(self._beginning, batch.feeds)
        return self._rows[batch.shapes]

    def _beginning(self, feeds: Feeds) -> Arrays:
        started = self._started(feeds)
        return {name: self.engine.to_numpy(tensor) for name, tensor in {**started.held, **started.states}.items()}

    def _certificate(self, batch: _Batch, output: str, steps: int) -> tuple[LinearPath, Certificate]:
        """What bounds the change of the scores behind ``output``, made once for each shape of the inputs."""
        key = (batch.shapes, output, steps)
        if key not in self._certificates:
            path = find_linear_path(self.parts, output)
            layouts = self._layouts(batch.feeds, path)
            samples = batch.size if path.held or self._single else None
            certificate = Certificate(path, self.engine, layouts, batch.held, samples, steps)
            self._certificates[key] = path, certificate
        return self._certificates[key]

    def _layouts(self, feeds: Feeds, path: LinearPath) -> dict[str, Layout]:
        """Of the events of the last neurons."""
        if not path.sources:
            return {}
        one = {name: array[:1] for name, array in feeds.items()}
        axes = {} if self._single else find_sample_axes(self, one, self.parts.manifest.neurons).events
        ((_, tensors),) = self._walk(one, 1, events=True)
        layouts = {}
        for source in path.sources:
            axis = 0 if self._single else axes.get(source.event)
            if axis is None:
                raise InputError(f"'{source.event}' does not hold samples apart; use the rule stability or margin")
            layouts[source.event] = Layout(self.engine.to_numpy(tensors[source.event]).shape, axis)
        return layouts


def _by_sample(outputs: Arrays, samples: int) -> Arrays:
    for name, value in outputs.items():
        if not value.ndim or len(value) != samples:
            raise InputError(f"output '{name}' {value.shape} has no row for each of {samples} samples; run all steps")
    return outputs
