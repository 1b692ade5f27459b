"""All steps in one graph: form unrolled. What happens inside is read from the tensors NAME@t."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from onnx import NodeProto, helper

from spikec.runtime.backend import Backend, Evaluate
from spikec.runtime.counting import Counter
from spikec.runtime.outputs import output_arrays
from spikec.runtime.parts import Parts
from spikec.runtime.result import Arrays, Step
from spikec.runtime.stepwise import BATCH, Evaluation


class Unrolled:
    """Evaluates an unrolled artifact in one pass, with intermediate steps and counts as further outputs where asked."""

    def __init__(self, parts: Parts, engine: Backend) -> None:
        self.parts, self.engine = parts, engine
        read = {name for node in parts.readout for name in node.input}
        self.states = [state for state in parts.manifest.states if state.final in read]
        produced = {name for node in parts.init for name in node.output}
        self.held = [name for name in parts.manifest.held if name in read and name in produced]
        self.passed = [name for name in parts.manifest.held if name in read and name not in produced]
        self._readout = engine.graph(parts.readout, list(parts.manifest.outputs), parts.types)
        self._graphs: dict[tuple[str, ...], Evaluate] = {}

    def suited(self, feeds: Mapping[str, np.ndarray], steps: int, fixed: int | None) -> tuple[Evaluation, int]:
        """See ``Stepwise``."""
        return self.run, BATCH

    def run(
        self, feeds: Mapping[str, np.ndarray], steps: Sequence[int], counter: Counter | None, samples: int
    ) -> dict[int, Arrays]:
        """Outputs after each number of ``steps`` (ascending) for one batch."""
        counts, nodes = self._counting(steps[-1]) if counter is not None else ({}, [])
        tensors = self._evaluate(feeds, steps, list(counts.values()), nodes)
        batch = len(next(iter(feeds.values())))
        for event, name in counts.items():
            if counter is not None:
                counter.add(event, self.engine.to_numpy(tensors[name]), samples, steps[-1], batch)
        return {t: self._outputs(tensors, t) for t in steps}

    def release(self) -> None:
        """Give back what is kept between runs: nothing here."""

    def stream(self, feeds: Mapping[str, np.ndarray], steps: int) -> Iterator[Step]:
        """Every step with its outputs and spikes; all are computed before the first is handed out."""
        neurons = self.parts.manifest.neurons
        events = [f"{neuron.event}@{t}" for t in range(steps) for neuron in neurons]
        tensors = self._evaluate(feeds, range(1, steps + 1), events, [])
        for t in range(1, steps + 1):
            found = {n.name: self.engine.to_numpy(tensors[f"{n.event}@{t - 1}"]) for n in neurons}
            yield Step(t, self._outputs(tensors, t), {name: np.sign(d).astype(np.int8) for name, d in found.items()})

    def _evaluate(
        self, feeds: Mapping[str, np.ndarray], steps: Sequence[int], extra: list[str], nodes: list[NodeProto]
    ) -> dict[str, object]:
        wanted = [f"{state.next}@{t - 1}" for t in steps for state in self.states] + self.held + extra
        key = tuple(wanted)
        if key not in self._graphs:
            self._graphs[key] = self.engine.graph([*self.parts.init, *nodes], wanted, self.parts.types)
        fed = {name: self.engine.to_device(array) for name, array in feeds.items()}
        return {**{name: fed[name] for name in self.passed}, **self._graphs[key](fed)}

    def _outputs(self, tensors: Mapping[str, object], t: int) -> Arrays:
        finals = {state.final: tensors[f"{state.next}@{t - 1}"] for state in self.states}
        return output_arrays(self.engine, self._readout({**tensors, **finals}), self.parts.outputs)

    def _counting(self, steps: int) -> tuple[dict[str, str], list[NodeProto]]:
        """Nodes that count each neuron's events inside the graph: 1 for each that is not zero, summed over time."""
        counts: dict[str, str] = {}
        nodes: list[NodeProto] = []
        for neuron in self.parts.manifest.neurons:
            fired = []
            for t in range(steps):
                event = f"{neuron.event}@{t}"
                nodes += [
                    helper.make_node("Abs", [event], [f"{event}/size"]),
                    helper.make_node("Sign", [f"{event}/size"], [f"{event}/fired"]),
                ]
                fired.append(f"{event}/fired")
            counts[neuron.event] = f"{neuron.event}/count"
            nodes.append(helper.make_node("Sum", fired, [counts[neuron.event]]))
        return counts, nodes
