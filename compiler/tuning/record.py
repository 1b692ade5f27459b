"""What a search tried and found."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One set of settings, and the relative L2 distance of the outputs from the ANN's that it reached after T steps."""

    number: int
    settings: dict[str, str | float]
    distance: float
    seconds: float


@dataclass
class Tuning:
    """A finished search.

    Attributes:
        steps: T that was tuned for.
        chosen: the best settings, to be put over those of the preparation; empty where the preparation's were best.
        default, tuned: distance of the preparation's settings, and of the best trial's, on samples that neither the
            fits nor the choice among trials have seen.
        trials: all of them, in order; the first has the preparation's settings.
        samples: how many were used to fit, to judge, and to confirm.
        seed: of the search.
    """

    steps: int
    chosen: dict[str, str | float]
    default: float
    tuned: float
    trials: list[Trial] = field(default_factory=list)
    samples: tuple[int, int, int] = (0, 0, 0)
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For the artifact's manifest: all but the seconds, which differ from run to run."""
        trials = [{"settings": trial.settings, "distance": trial.distance} for trial in self.trials]
        return {
            "steps": self.steps,
            "seed": self.seed,
            "samples": dict(zip(("fit", "judge", "confirm"), self.samples, strict=True)),
            "held_back": {"default": self.default, "tuned": self.tuned},
            "chosen": self.chosen,
            "trials": trials,
        }

    def write_csv(self, path: Path) -> None:
        """One line a trial: number, distance, seconds, then its settings."""
        names = sorted({name for trial in self.trials for name in trial.settings})
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["trial", "distance", "seconds", *names])
            for trial in self.trials:
                values = [trial.settings.get(name, "") for name in names]
                writer.writerow([trial.number, f"{trial.distance:.6g}", f"{trial.seconds:.2f}", *values])
