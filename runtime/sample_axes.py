"""Where samples stand in what an artifact computes: seen by evaluating one sample, then two."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from spikec.runtime.counting import Axes, Counter
from spikec.runtime.inputs import ENGINE_ERRORS, Feeds, fixed_batch
from spikec.runtime.manifest import Neuron
from spikec.runtime.parts import Parts
from spikec.runtime.result import Arrays

Shapes = dict[str, tuple[int, ...]]


class Program(Protocol):
    """What evaluates one batch."""

    def run(self, feeds: Feeds, steps: list[int], counter: Counter | None, samples: int) -> Mapping[int, Arrays]:
        """Outputs after each number of ``steps``; events go to the counter."""
        ...


@dataclass(frozen=True)
class SampleAxes:
    """Whether samples may be evaluated batch by batch, and the axis of the samples in each neuron's events."""

    separate: bool = False
    events: Axes = field(default_factory=dict)


class Cutter:
    """Decides how many samples are evaluated at once; looks only where that matters, and once for each shape."""

    def __init__(self, program: Program, parts: Parts) -> None:
        self.program, self.neurons = program, parts.manifest.neurons
        self.fixed = fixed_batch(parts.inputs)
        self._seen: dict[tuple[tuple[int, ...], ...], SampleAxes] = {}

    def cut(self, feeds: Feeds, size: int, *, counting: bool) -> tuple[int, Axes]:
        """The size of a batch, ``size`` or all samples, and the axes of the samples in the events, if looked for."""
        total = len(next(iter(feeds.values())))
        if self.fixed or (total <= size and not (counting and self.neurons)):
            return size, {}
        shapes = tuple(array.shape[1:] for array in feeds.values())
        if shapes not in self._seen:
            self._seen[shapes] = find_sample_axes(self.program, feeds, self.neurons)
        return size if self._seen[shapes].separate else total, self._seen[shapes].events


class _Shapes(Counter):
    """Takes down the shapes of the events in place of their numbers."""

    def __init__(self, neurons: tuple[Neuron, ...]) -> None:
        super().__init__(neurons)
        self.shapes: Shapes = {}

    def add(self, event: str, fired: np.ndarray, samples: int, steps: int = 1, batch: int | None = None) -> None:
        self.shapes[event] = fired.shape


def find_sample_axes(program: Program, feeds: Feeds, neurons: tuple[Neuron, ...]) -> SampleAxes:
    """Samples are separate where each output has one row a sample and every neuron's events follow their number.

    A network that cannot be evaluated on one sample or on two says nothing: its samples are taken as not separate.
    """
    try:
        (one, fired_by_one), (two, fired_by_two) = (_shapes(program, feeds, n, neurons) for n in (1, 2))
    except ENGINE_ERRORS:
        return SampleAxes()
    rows = all(follows(one[name], two[name]) == 0 and one[name][0] == 1 for name in one)
    events = {event: follows(shape, fired_by_two[event]) for event, shape in fired_by_one.items()}
    return SampleAxes(rows and None not in events.values(), events)


def _shapes(program: Program, feeds: Feeds, samples: int, neurons: tuple[Neuron, ...]) -> tuple[Shapes, Shapes]:
    """Of the outputs and of the events, for so many copies of the first sample after one step."""
    counter = _Shapes(neurons)
    copies = {name: np.repeat(array[:1], samples, axis=0) for name, array in feeds.items()}
    outputs = program.run(copies, [1], counter, samples)[1]
    return {name: value.shape for name, value in outputs.items()}, counter.shapes


def follows(one: tuple[int, ...], two: tuple[int, ...]) -> int | None:
    """The axis that two samples make twice as long as one, if it is the only one that they change."""
    if len(one) != len(two):
        return None
    changed = [axis for axis in range(len(one)) if one[axis] != two[axis]]
    return changed[0] if len(changed) == 1 and two[changed[0]] == 2 * one[changed[0]] else None
