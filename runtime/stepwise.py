"""Step by step: init once, the step graph once per t, the readout where asked. For forms loop and step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from spikec.runtime.backend import Backend, Evaluate
from spikec.runtime.counting import Counter
from spikec.runtime.outputs import output_arrays
from spikec.runtime.parts import CLOCK, Parts
from spikec.runtime.result import Arrays, Step

Tensors = dict[str, Any]
Evaluation = Callable[[Mapping[str, np.ndarray], Sequence[int], Counter | None, int], dict[int, Arrays]]
BATCH = 64  # samples evaluated at once; states of all neurons are kept for each


class Stepwise:
    """Evaluates an artifact one time step after the other; states stay on the device."""

    def __init__(self, parts: Parts, engine: Backend) -> None:
        manifest = parts.manifest
        self.parts, self.engine, self.states = parts, engine, manifest.states
        self.events = [neuron.event for neuron in manifest.neurons]
        produced = {name for node in parts.init for name in node.output}
        self.passed = [name for name in manifest.held if name not in produced]  # inputs that steps read themselves
        wanted = [state.initial for state in self.states] + [n for n in manifest.held if n in produced]
        self.begun = list(dict.fromkeys(wanted))  # what the init graph gives
        types = {**parts.types, CLOCK: onnx.TensorProto.INT64}
        self._init: Evaluate = engine.graph(parts.init, self.begun, types)
        self._readout = engine.graph(parts.readout, list(manifest.outputs), types)
        self._types = types
        self._steps: dict[bool, Evaluate] = {}

    def suited(self, feeds: Mapping[str, np.ndarray], steps: int, fixed: int | None) -> tuple[Evaluation, int]:
        """What evaluates these samples best, and how many it should take at once."""
        return self.run, BATCH

    def run(
        self, feeds: Mapping[str, np.ndarray], steps: Sequence[int], counter: Counter | None, samples: int
    ) -> dict[int, Arrays]:
        """Outputs after each number of ``steps`` (ascending) for one batch."""
        found: dict[int, Arrays] = {}
        for t, tensors in self._walk(feeds, steps[-1], events=counter is not None):
            if counter is not None:
                self._count(counter, tensors, samples, len(next(iter(feeds.values()))))
            if t in steps:
                found[t] = self._outputs(tensors)
        return found

    def release(self) -> None:
        """Give back what is kept between runs: recorded graphs."""
        self.engine.release()

    def stream(self, feeds: Mapping[str, np.ndarray], steps: int) -> Iterator[Step]:
        """Every step with its outputs and spikes."""
        names = {neuron.event: neuron.name for neuron in self.parts.manifest.neurons}
        for t, tensors in self._walk(feeds, steps, events=True):
            spikes = {names[e]: np.sign(self.engine.to_numpy(tensors[e])).astype(np.int8) for e in self.events}
            yield Step(t, self._outputs(tensors), spikes)

    def _begin(self, feeds: Mapping[str, np.ndarray]) -> Tensors:
        fed = {name: self.engine.to_device(array) for name, array in feeds.items()}
        started = self._init(fed) if self.states or self.parts.manifest.held else {}
        return {**{name: fed[name] for name in self.passed}, **started}

    def _walk(self, feeds: Mapping[str, np.ndarray], steps: int, *, events: bool) -> Iterator[tuple[int, Tensors]]:
        """(t, held tensors, states after step t and, if asked, its events), t counted from 1."""
        tensors = self._begin(feeds)
        held = {name: tensors[name] for name in self.parts.manifest.held}
        states, after = {state.name: tensors[state.initial] for state in self.states}, {}
        for t in range(steps):
            if self.states:  # without them there is no step graph, and every step gives the same
                clock = self.engine.to_device(np.array(t, np.int64))
                after = self._advance(events)({**held, **states, CLOCK: clock})
                states = {state.name: after[state.next] for state in self.states}
            yield t + 1, {**held, **after}

    def _advance(self, events: bool) -> Evaluate:
        """The step graph, with or without events among its outputs (made when first used: sessions are not free)."""
        if events not in self._steps:
            outputs = [state.next for state in self.states] + (self.events if events else [])
            graph = self.engine.graph(self.parts.step, list(dict.fromkeys(outputs)), self._types)
            self._steps[events] = self._repeated(graph)
        return self._steps[events]

    def _repeated(self, graph: Evaluate) -> Evaluate:
        return self.engine.repeated(graph)

    def _outputs(self, tensors: Tensors) -> Arrays:
        finals = {state.final: tensors[state.next] for state in self.states if state.next in tensors}
        return output_arrays(self.engine, self._readout({**tensors, **finals}), self.parts.outputs)

    def _count(self, counter: Counter, tensors: Tensors, samples: int, batch: int) -> None:
        for event in self.events:
            counter.add(event, self.engine.to_numpy(tensors[event]) != 0, samples, batch=batch)
