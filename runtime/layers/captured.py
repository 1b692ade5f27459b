"""Layers as CUDA graphs: see ``recording``."""

from collections.abc import Sequence

import torch

from spikec.runtime.layers.stages import Layers
from spikec.runtime.layers.starting import Shapes
from spikec.runtime.recording import Recording
from spikec.runtime.stepwise import Tensors

Tensor = torch.Tensor


class Recorder:
    """Calls ``layers``; on CUDA recorded, where what a call gives is overwritten by the next one."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.recording: Recording[tuple[Tensors, Tensors, int, Tensors]] = Recording("stage by stage")

    def __call__(self, held: Tensors, states: Tensors, clock: Tensor, shapes: Shapes) -> tuple[Tensors, int]:
        """See ``Layers``; ``shapes`` are those of the network's inputs."""
        if not self.recording.serves([clock]):  # then states need not be held until all stages are through
            return self.layers(held, states, clock, shapes)

        def body(given: Sequence[Tensor]) -> tuple[Tensors, Tensors, int, Tensors]:
            still = dict(zip(held, given, strict=False))
            after = dict(zip(states, given[len(held) :], strict=False))
            results, peak = self.layers(still, after, given[-1], shapes)
            # the graph reads what the layers have kept for its shapes, which has to live as long as it does
            return results, after, peak, self.layers.kept_for(still, len(clock), shapes)

        results, after, peak, _ = self.recording(shapes, [*held.values(), *states.values(), clock], body)
        states.update(after)
        return results, peak
