"""The settings that the tuner searches: a neighbourhood of the default preset."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikec.dead_zones import kind_of, parse_early
from spikec.lowering.network import Neuron
from spikec.options import PRESETS, least_share
from spikec.schedules import fitted_ratio, fitted_stagger

if TYPE_CHECKING:
    from optuna.trial import Trial


@dataclass(frozen=True)
class Axis:
    """One number to choose: where the default preset has it, and how far it may go."""

    default: float
    low: float
    high: float

    def clip(self, value: float) -> float:
        """The nearest value that may be chosen."""
        return min(self.high, max(self.low, value))


class Space:
    """Ratio and stagger of a geometric schedule, least amplitude, offsets, and the dead zones: of the last step, and
    before it for each kind of neuron, which is how eager that kind is.

    The reach is left alone: amplitudes are fitted, and it is their product with the reach that counts.
    """

    def __init__(self, neurons: Iterable[Neuron], steps: int, ternary: bool = True) -> None:
        """``neurons``: of the network, whose kinds have a dead zone each; ``steps``: T; binary ones stay binary."""
        ratio, stagger, share = fitted_ratio(steps), fitted_stagger(steps), least_share("fit", steps)
        preset = PRESETS["default"]
        early = parse_early(preset.early_dead_zone)
        self.kinds = sorted({kind_of(neuron) for neuron in neurons if neuron.coding != "float"})
        self.axes = {
            "ratio": Axis(ratio, ratio - 0.15, min(0.97, ratio + 0.15)),
            "stagger": Axis(stagger, 0.0, max(1.0, steps - 1.0)),
            "share": Axis(share, share / 2, min(1.0, share * 2)),
            "correction": Axis(preset.correction, 0.0, 1.0),
            **({"theta": Axis(preset.dead_zone, 0.3, 0.6)} if ternary else {}),
            **{f"theta {kind}": Axis(early.get(kind, preset.dead_zone), 0.2, 0.6) for kind in self.kinds},
        }

    def default(self) -> dict[str, float]:
        """The point of the space that is the default preset."""
        return {name: axis.default for name, axis in self.axes.items()}

    def neighbours(self) -> Iterator[dict[str, float]]:
        """The default with one number changed, up or down by a quarter of what it can go."""
        for name, axis in self.axes.items():
            for step in (-0.25, 0.25):
                value = axis.clip(axis.default + step * (axis.high - axis.low))
                if value != axis.default:
                    yield {**self.default(), name: value}

    def suggest(self, trial: "Trial") -> dict[str, str | float]:
        """The options of one trial."""
        point = {name: trial.suggest_float(name, axis.low, axis.high) for name, axis in self.axes.items()}
        return {
            "schedule": f"geometric:ratio={point['ratio']:.4g},stagger={point['stagger']:.4g}",
            "correction": round(point["correction"], 2),
            **({"dead_zone": round(point["theta"], 3)} if "theta" in point else {}),
            "range_rule": f"fit:{point['share']:.4g}",
            "early_dead_zone": ",".join(f"{kind}={point[f'theta {kind}']:.3g}" for kind in self.kinds),
        }
