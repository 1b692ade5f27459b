"""The rows of a ledger: what each operator, neuron node and rest of the network costs one sample."""

from dataclasses import dataclass
from typing import Any

from spikec.ledger.work import NAMES, NOTHING, Work


@dataclass(frozen=True)
class Entry:
    """What a part of the network does for one sample.

    Attributes:
        name: of the node in the source.
        operator: its operator, or the neuron's function.
        kind: ``input`` (reached by the input alone: once, before the first step), ``weights``, ``sum``, ``direct``,
            ``product`` (of two activations), or the neuron's kind; ``elementwise``, ``integrate`` and ``readout``.
        ann: in the trained network.
        events: in all steps, what grows with the number of events.
        fixed: in all steps, what does not.
    """

    name: str
    operator: str
    kind: str
    ann: Work = NOTHING
    events: Work = NOTHING
    fixed: Work = NOTHING

    @property
    def snn(self) -> Work:
        """In the spiking network."""
        return self.events + self.fixed

    def as_dict(self) -> dict[str, Any]:
        """For JSON: work without the zeros."""
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, Work)}
        return plain | {name: _without_zeros(value) for name, value in vars(self).items() if isinstance(value, Work)}


@dataclass(frozen=True)
class Layer(Entry):
    """An operator with weights, a sum, or a product of two activations.

    Attributes:
        usual_macs: multiply-accumulates of the trained network as they are usually quoted, padding included.
        arrivals: events (if ``spiking``; else values other than zero) that reach it in all steps.
        merged: operations in all steps if events that meet at one place in one step were added first and sent on as
            one value; for values, what they cost.
        spiking: whether all that arrives are events, which cost an addition; values cost a multiply-accumulate.
        sources: the neurons, or the tensors, where that comes from.
    """

    usual_macs: float = 0.0
    arrivals: float = 0.0
    merged: float = 0.0
    spiking: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class NeuronCost(Entry):
    """A neuron node.

    Attributes:
        coding: ``sign`` or ``float``.
        neurons: how many it holds.
        sent: events in all steps.
        steps: T.
        evaluations: of f, for each neuron.
        f: in all steps, the part of ``fixed`` that evaluates f.
    """

    coding: str = "sign"
    neurons: float = 0.0
    sent: float = 0.0
    steps: int = 0
    evaluations: int = 0
    f: Work = NOTHING

    @property
    def rate(self) -> float:
        """Events per neuron and step."""
        slots = self.neurons * self.steps
        return self.sent / slots if slots else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return super().as_dict() | {"rate": self.rate}


def _without_zeros(work: Work) -> dict[str, float]:
    return {name: getattr(work, name) for name in NAMES if getattr(work, name)}
