"""A ledger: its rows, their sums, what they cost under a preset, and the spike rate at which that breaks even."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log2
from typing import Any

from spikec.ledger.entries import Entry, Layer, NeuronCost
from spikec.ledger.presets import DEFAULT, PRESETS, Preset, find_preset
from spikec.ledger.work import NAMES, NOTHING, Work


@dataclass(frozen=True)
class Energy:
    """Joules for one sample under one preset.

    Attributes:
        snn, ann, quantised: of the spiking network, the trained one, and that in whole numbers of ``bits``.
        break_even, break_even_quantised: events per neuron and step at which the spiking network would cost as much,
            all neurons sending more or less in proportion; None where no rate does, because what does not depend on
            events costs more already, or because no event costs anything.
    """

    preset: Preset
    snn: float
    ann: float
    quantised: float
    bits: int
    break_even: float | None
    break_even_quantised: float | None

    @property
    def ratio(self) -> float:
        """The spiking network's energy over the trained one's."""
        return self.snn / self.ann if self.ann else float("inf")

    @property
    def ratio_quantised(self) -> float:
        """The same over the quantised one's."""
        return self.snn / self.quantised if self.quantised else float("inf")


@dataclass(frozen=True)
class Ledger:
    """What an artifact costs one sample, beside the network that it was made from.

    Attributes:
        name: of the source.
        steps: time steps that were run.
        samples: over which rates are averaged.
        layers: operators with weights, sums, and products of two activations.
        neurons: neuron nodes.
        rest: other arithmetic.
    """

    name: str
    steps: int
    samples: int
    layers: tuple[Layer, ...]
    neurons: tuple[NeuronCost, ...]
    rest: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        yield from (*self.layers, *self.neurons, *self.rest)

    @cached_property
    def ann(self) -> Work:
        """The trained network."""
        return sum((entry.ann for entry in self), NOTHING)

    @cached_property
    def events(self) -> Work:
        """The part of the spiking network's work that grows with the number of events."""
        return sum((entry.events for entry in self), NOTHING)

    @cached_property
    def fixed(self) -> Work:
        """The other part."""
        return sum((entry.fixed for entry in self), NOTHING)

    @property
    def snn(self) -> Work:
        """The spiking network, all steps."""
        return self.events + self.fixed

    @property
    def usual_macs(self) -> float:
        """Multiply-accumulates of the trained network as they are usually quoted."""
        return sum(layer.usual_macs for layer in self.layers)

    @property
    def rate(self) -> float:
        """Events per neuron and step, of the neurons that send events of known size."""
        spiking = [neuron for neuron in self.neurons if neuron.coding == "sign"]
        slots = sum(neuron.neurons for neuron in spiking) * self.steps
        return sum(neuron.sent for neuron in spiking) / slots if slots else 0.0

    @property
    def bits(self) -> int:
        """Bits that tell T+1 values apart, as many as T spikes can: those of the quantised network."""
        return ceil(log2(self.steps + 1))

    def at_rate(self, rate: float) -> Work:
        """The spiking network if each neuron sent more, or fewer, events in the proportion of ``rate`` to its own."""
        return self.events * (rate / self.rate if self.rate else 0.0) + self.fixed

    def energy(self, preset: str | Preset = DEFAULT) -> Energy:
        """What that costs.

        Raises:
            UsageError: there is no preset of that name.
        """
        prices = find_preset(preset)
        ann, quantised = prices.energy(self.ann), prices.quantised(self.bits).energy(self.ann)
        even = [self._break_even(prices, budget) for budget in (ann, quantised)]
        return Energy(prices, prices.energy(self.snn), ann, quantised, self.bits, *even)

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON, energies under every preset included."""
        works = {"ann": self.ann, "events": self.events, "fixed": self.fixed}
        return {
            "name": self.name,
            "steps": self.steps,
            "samples": self.samples,
            "rate": self.rate,
            "bits": self.bits,
            "usual_macs": self.usual_macs,
            "work": {name: {kind: getattr(work, kind) for kind in NAMES} for name, work in works.items()},
            "energy": {name: _as_dict(self.energy(name)) for name in PRESETS},
            "layers": [entry.as_dict() for entry in self.layers],
            "neurons": [entry.as_dict() for entry in self.neurons],
            "rest": [entry.as_dict() for entry in self.rest],
        }

    def _break_even(self, prices: Preset, budget: float) -> float | None:
        """The rate at which events and all else cost ``budget`` joules."""
        per_rate, left = prices.energy(self.events), budget - prices.energy(self.fixed)
        return self.rate * left / per_rate if per_rate and left >= 0 else None


def _as_dict(energy: Energy) -> dict[str, Any]:
    """Joules and rates; ratios are None where the trained network does nothing."""
    return {
        "what": energy.preset.what,
        "with_memory": energy.preset.with_memory,
        **{name: value for name, value in vars(energy).items() if name != "preset"},
        "ratio": energy.ratio if energy.ann else None,
        "ratio_quantised": energy.ratio_quantised if energy.quantised else None,
    }
