"""What ``explain`` returns."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikec.artifact.write import write_bytes
from spikec.explaining.figures import CAUSES, Figures
from spikec.explaining.neurons import StoredNeuron

OVER_TIME = ("distance", "inherited", "own", "saturated", "dead", "rate")


@dataclass(frozen=True)
class Explanation:
    """Where the error of an artifact comes from.

    Attributes:
        model, artifact: what they are called.
        steps: T.
        samples: how many the figures come from.
        neurons: the rows of all arrays, in topological order.
        figures: arrays (neurons, T): heat maps of the network over time; see ``Figures``.
        outputs: (T,) by output: the artifact's relative L2 distance from the model (of classes the share that differs).
        floor: by output, that of the artifact read without time, every neuron as its f: no neuron is to blame for it.
        shares: by neuron, its part of the outputs' squared distance; see ``spikec.explaining.influence``.
        share_samples: how many samples they come from.
        ranking: all neurons, the one to blame most first.
        advice: a sentence for each neuron.
        warnings: what limits these figures.
    """

    model: str
    artifact: str
    steps: int
    samples: int
    neurons: list[StoredNeuron]
    figures: Figures
    outputs: dict[str, np.ndarray]
    floor: dict[str, float]
    shares: dict[str, float]
    share_samples: int
    ranking: list[str]
    advice: dict[str, str]
    warnings: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The neurons' names, in the order of the arrays' rows."""
        return [neuron.name for neuron in self.neurons]

    def at_end(self, name: str) -> dict[str, float]:
        """A neuron's figures after the last step."""
        row = self.names.index(name)
        return {what: float(getattr(self.figures, what)[row, -1]) for what in OVER_TIME}

    def verdict(self) -> str:
        """The worst neuron in one sentence."""
        if not self.ranking:
            return "the artifact has no neurons, and no error of theirs"
        worst, end = self.ranking[0], max(self.outputs.values(), key=lambda course: float(course[-1]))[-1]
        share = self.shares.get(worst, 0.0)
        if share <= 0:
            return (
                f"no single neuron is to blame: the outputs lie {end:.2g} from the model's, and none made ideal helps"
            )
        return (
            f"'{worst}' costs the most, {100 * share:.0f} % of the squared distance of the outputs ({end:.2g} after "
            f"{self.steps} steps): {self.advice[worst]}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: all neurons, all steps; what is no number is None."""
        return {
            "model": self.model,
            "artifact": self.artifact,
            "steps": self.steps,
            "samples": self.samples,
            "share_samples": self.share_samples,
            "outputs": {name: _numbers(course) for name, course in self.outputs.items()},
            "floor": {name: _numbers(np.array([value]))[0] for name, value in self.floor.items()},
            "ranking": self.ranking,
            "neurons": [self._row(row, neuron) for row, neuron in enumerate(self.neurons)],
            "verdict": self.verdict(),
            "warnings": self.warnings,
        }

    def write_csv(self, path: str | Path) -> None:
        """One line a neuron and step: neuron, t, and the figures.

        Raises:
            UsageError: it cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["neuron", "t", *OVER_TIME])
        for row, name in enumerate(self.names):
            for t in range(self.steps):
                writer.writerow(
                    [name, t + 1, *(repr(float(getattr(self.figures, what)[row, t])) for what in OVER_TIME)]
                )
        write_bytes(text.getvalue().encode(), Path(path))

    def _row(self, row: int, neuron: StoredNeuron) -> dict[str, Any]:
        share = self.shares.get(neuron.name)
        return {
            "name": neuron.name,
            "function": neuron.function,
            "kind": neuron.kind,
            "sources": list(neuron.sources),
            "share": share if share is not None and np.isfinite(share) else None,
            "causes": dict(zip(CAUSES, _numbers(self.figures.causes[row]), strict=True)),
            "advice": self.advice[neuron.name],
            **{what: _numbers(getattr(self.figures, what)[row]) for what in OVER_TIME},
        }


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
