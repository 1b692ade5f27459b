"""The settings that the tuner searches, and what stands for the default among them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spikec.dead_zones import kind_of
from spikec.lowering.network import Neuron
from spikec.options import least_share
from spikec.schedules import fitted_ratio, fitted_stagger

if TYPE_CHECKING:
    from optuna.trial import Trial

EAGER = 0.3  # dead zone of softmaxes before the last step, in the default preset


class Space:
    """Ratio and stagger of a geometric schedule, least amplitude, and how eager each kind of neuron is.

    The reach is left alone: amplitudes are fitted, and it is their product with the reach that counts.
    """

    def __init__(self, neurons: Iterable[Neuron], steps: int) -> None:
        """``neurons``: of the network, whose kinds have a dead zone each; ``steps``: T."""
        self.steps = steps
        self.kinds = sorted({kind_of(neuron) for neuron in neurons if neuron.coding != "float"})

    def default(self) -> dict[str, float]:
        """The point of the space that is the default preset."""
        zones = {f"theta {kind}": EAGER if kind == "softmax" else 0.5 for kind in self.kinds}
        schedule = {"ratio": fitted_ratio(self.steps), "stagger": fitted_stagger(self.steps)}
        return {**schedule, "correction": 0.5, "share": least_share("fit", self.steps), **zones}

    def suggest(self, trial: "Trial") -> dict[str, str | float]:
        """The options of one trial."""
        ratio = trial.suggest_float("ratio", 0.4, 0.95)
        stagger = trial.suggest_float("stagger", 0.0, max(1.0, self.steps - 1.0))
        share = trial.suggest_float("share", 0.1, 1.0, log=True)
        correction = trial.suggest_float("correction", 0.0, 1.0)
        zones = {kind: trial.suggest_float(f"theta {kind}", 0.2, 0.6) for kind in self.kinds}
        return {
            "schedule": f"geometric:ratio={ratio:.4g},stagger={stagger:.4g}",
            "correction": round(correction, 2),
            "range_rule": f"fit:{share:.4g}",
            "early_dead_zone": ",".join(f"{kind}={theta:.3g}" for kind, theta in zones.items()),
        }
