"""The value-domain oracle: the network itself, run T times, each nonlinearity replaced by v <- v - eta*a*s,
s being the sign of v - f(x), or 0 within the dead zone.

It knows nothing of init, step, linear parts or estimates: that is what makes it a judge of them.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
import torch

from spikec.prepared import Artifact
from spikec.runtime.torch_graph import TorchGraph
from spikec.runtime.torch_values import constants_from

Tensor = torch.Tensor


class Oracle:
    """Runs a calibrated level-3 model in float64 with the tables ``eta`` (T,) of its neurons."""

    def __init__(
        self,
        model: onnx.ModelProto,
        eta: Mapping[str, np.ndarray],
        dead_zone: float | Mapping[str, np.ndarray] = 0.0,
        offsets: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.dead_zone = dead_zone
        self.offsets = {name: torch.from_numpy(array).double() for name, array in (offsets or {}).items()}
        self.eta = {name: table.astype(np.float64) for name, table in eta.items()}
        self.values: dict[str, Tensor] = {}
        self.spikes: dict[str, np.ndarray] = {}
        self.t = 0
        functions = {(f.domain, f.name): f for f in model.functions}
        hooks = {(n.domain, n.op_type): self._fire for n in model.graph.node if n.domain == "spikec"}
        self.outputs = [output.name for output in model.graph.output]
        constants = constants_from(model.graph.initializer, torch.float64, "cpu")
        self.network = TorchGraph(
            list(model.graph.node), self.outputs, constants, functions, dtype=torch.float64, hooks=hooks
        )

    @classmethod
    def of(cls, artifact: Artifact) -> "Oracle":
        """The judge of an artifact: its level 3 with the tables and offsets that it was lowered with."""
        lowered = artifact.recurrent
        return cls(artifact.levels.neurons, lowered.schedules, lowered.dead_zones, lowered.offsets)

    def run(self, x: dict[str, np.ndarray]) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """(outputs, spikes of every neuron node) after each step."""
        self.values = {}
        fed = {name: torch.from_numpy(array).double() for name, array in x.items()}
        for t in range(len(next(iter(self.eta.values())))):
            self.t, self.spikes = t, {}
            outputs = self.network(fed)
            yield {name: outputs[name].numpy() for name in self.outputs}, self.spikes

    def _fire(self, node: onnx.NodeProto, fn: object, args: list[Tensor]) -> tuple[Tensor]:
        amplitude, initial = args[-2:]
        f = fn(*args)[0]  # type: ignore[operator]
        v = self.values.get(node.name, initial.expand_as(f))
        if any(attr.name == "coding" and attr.s == b"float" for attr in node.attribute):
            return self._follow(node.name, v, f)
        size = self.eta[node.name][self.t] * amplitude
        sign = torch.where(v - f >= 0, 1.0, -1.0).double()
        theta = self._theta(node.name)
        if theta:
            sign = torch.where((v - f).abs() <= theta * size, 0.0, sign)
        self.spikes[node.name] = -sign.numpy().astype(np.int8)
        self.values[node.name] = v - size * sign
        return (self.values[node.name] + self.offsets.get(node.name, 0.0),)

    def _theta(self, name: str) -> float:
        if isinstance(self.dead_zone, Mapping):
            return float(self.dead_zone[name][self.t]) if name in self.dead_zone else 0.0
        return self.dead_zone

    def _follow(self, name: str, v: Tensor, f: Tensor) -> tuple[Tensor]:
        """Float coding: the gradient itself in the place of its sign."""
        event = self.eta[name][self.t] * (f - v)
        self.spikes[name] = event.sign().numpy().astype(np.int8)
        self.values[name] = v + event
        return (self.values[name],)
