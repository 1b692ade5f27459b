"""An artifact taken through its steps with an eye on every neuron, some of which may be made ideal.

An ideal neuron says f of what it has received, at once and exactly: v(t) = f(x(t)). By exactness (x = A(v), see
docs/design.md) a single step in which all neurons are ideal computes the trained network, from the artifact's weights.
Over several steps an ideal neuron stays within bounds: a quotient whose divisor is still near 0 would say numbers
beside which float32 forgets all others.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from onnx import FunctionProto, NodeProto

from spikec.explaining.neurons import StoredNeuron, arguments_of, neuron_nodes, stored_neurons
from spikec.runtime.backend import Evaluate
from spikec.runtime.outputs import output_arrays
from spikec.runtime.parts import Parts
from spikec.runtime.result import Arrays
from spikec.runtime.stepwise import Stepwise
from spikec.runtime.torch_backend import TorchBackend
from spikec.runtime.torch_graph import Hook, TorchGraph

Tensor = torch.Tensor
Bounds = tuple[float, float]
ANY: Bounds = (-math.inf, math.inf)


@dataclass(frozen=True)
class Firing:
    """One neuron at step ``t``, counted from 1: tensors of one shape (N, ...); ``amplitude`` broadcasts against them.

    ``before`` is v before the step and ``v`` behind it; ``f`` is f at the input received until then, which the neuron
    compared v with; ``event`` is what it sent. ``seen`` is v with the offset, as the segments behind it have it.
    """

    neuron: StoredNeuron
    t: int
    before: Tensor
    v: Tensor
    seen: Tensor
    f: Tensor
    event: Tensor
    amplitude: Tensor


Look = Callable[[Firing], None]


@dataclass(frozen=True)
class Moment:
    """After step ``t``: the artifact's outputs, and the sums that its readout takes, by name of their states."""

    t: int
    outputs: Arrays
    sums: dict[str, Tensor]


class WatchedSteps(Stepwise):
    """Evaluates an artifact of the form loop or step on the CPU in float32."""

    def __init__(self, parts: Parts) -> None:
        self.neurons = stored_neurons(parts)
        self._known = {neuron.name: neuron for neuron in self.neurons}
        self._now = 0
        self._look: Look = _ignore
        self._ideal: Mapping[str, Bounds] = {}
        backend = _HookedBackend(parts, self._fire)
        stored = {name: f"{name}/offset" for name in self._known}
        self._offsets = {n: backend.constants[offset] for n, offset in stored.items() if offset in backend.constants}
        super().__init__(parts, backend)
        read = {name for node in parts.readout for name in node.input}
        self._sums = [state for state in self.states if state.final in read]
        self._plain_readout = _without_corrections(parts, backend)

    def follow(
        self,
        feeds: Mapping[str, np.ndarray],
        steps: int,
        look: Look | None = None,
        ideal: Mapping[str, Bounds] = MappingProxyType({}),
    ) -> Iterator[Moment]:
        """One moment after the other for one batch.

        Args:
            feeds: one array (N, ...) an input.
            steps: how many, up to T.
            look: hears of every neuron at every step, in topological order.
            ideal: the neurons that are ideal from the first step on, with their bounds; what they send has no offset.
        """
        self._now, self._look, self._ideal = 1, look or _ignore, ideal
        for t, tensors in self._walk(feeds, steps, events=False):
            sums = {state.name: tensors[state.next] for state in self._sums}
            yield Moment(t, self._outputs(tensors), sums)
            self._now = t + 1

    def trained(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, Tensor], Moment]:
        """The trained network on one batch: activations by neuron, and its sums and outputs (without corrections)."""
        activations: dict[str, Tensor] = {}
        self._now, self._ideal = 1, dict.fromkeys(self._known, ANY)
        self._look = lambda firing: activations.update({firing.neuron.name: firing.f})
        _, tensors = next(self._walk(feeds, 1, events=False))
        finals = {state.final: tensors[state.next] for state in self._sums}
        outputs = output_arrays(self.engine, self._plain_readout({**tensors, **finals}), self.parts.outputs)
        return activations, Moment(1, outputs, {state.name: tensors[state.next] for state in self._sums})

    def _fire(self, node: NodeProto, fn: Callable[..., tuple[Tensor, ...]], args: list[Any]) -> tuple[Tensor, Tensor]:
        neuron = self._known[node.name]
        before, eta, amplitude = args[(first := arguments_of(node)) : first + 3]
        v, event, f = fn(*args)
        offset = self._offsets.get(node.name)
        if node.name in self._ideal:
            exact = f.clamp(*self._ideal[node.name])
            v = exact if offset is None else exact - offset
            event = v - (before * (1 - eta) if neuron.forgets else before)
        seen = v if offset is None else v + offset
        self._look(Firing(neuron, self._now, before, v, seen, f, event, amplitude))
        return v, event


def _ignore(firing: Firing) -> None:
    """For whom nothing at a neuron is worth a look."""


class _HookedBackend(TorchBackend):
    """Torch, with a hook in the place of every neuron, whose function gives out f behind v and the event."""

    def __init__(self, parts: Parts, hook: Hook) -> None:
        super().__init__(parts, "cpu", "float32")
        nodes = neuron_nodes(parts).values()
        self.hooks = {(node.domain, node.op_type): hook for node in nodes}
        self.functions |= {key: _with_f(self.functions[key]) for key in self.hooks}

    def graph(self, nodes: Sequence[NodeProto], outputs: Sequence[str], types: Mapping[str, int]) -> Evaluate:
        """See ``Backend``."""
        return TorchGraph(nodes, outputs, self.constants, self.functions, hooks=self.hooks)


def _with_f(function: FunctionProto) -> FunctionProto:
    copy = FunctionProto()
    copy.CopyFrom(function)
    copy.output.append("f")
    return copy


def _without_corrections(parts: Parts, backend: TorchBackend) -> Evaluate:
    """The readout as it was before an affine readout scaled and shifted what it takes."""
    constants = dict(backend.constants)
    for name in {name for node in parts.readout for name in node.input} & constants.keys():
        for ending, value in (("/readout/scale", 1.0), ("/readout/offset", 0.0)):
            if name.endswith(ending):
                constants[name] = torch.full_like(constants[name], value)
    return TorchGraph(parts.readout, list(parts.manifest.outputs), constants, backend.functions)
