"""One neuron by itself: how its output estimate v(t) comes to f, for schedules and dead zones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spikec.calibration.descent import descend
from spikec.schedules import make_schedule

Tensor = torch.Tensor
VALUE = 0.73  # of f in the pictures; the amplitude is 1
BINARY, TERNARY = 0.0, 0.5  # dead zones


@dataclass(frozen=True)
class Case:
    """A neuron of amplitude 1 with v(0) = 0.

    ``ratio``, ``stagger``: of the geometric schedule, for a neuron of the greatest depth; ``theta``: its dead zone;
    ``late``: f is 0 for so many steps before it takes its value, as where the news has to come a long way.
    """

    ratio: float
    theta: float = TERNARY
    stagger: float = 0.0
    late: int = 0

    def schedule(self, steps: int) -> Tensor:
        """Step sizes eta(t), (T,)."""
        return torch.from_numpy(make_schedule(f"geometric:ratio={self.ratio},stagger={self.stagger}", steps, depth=1.0))

    def run(self, f: Tensor, steps: int) -> list[Tensor]:
        """v(0), v(1), ..., v(T), each of the shape of ``f``: any number of neurons at once."""
        course = [f if t >= self.late else torch.zeros_like(f) for t in range(steps)]
        start = torch.zeros_like(f)
        zone = torch.full((steps,), self.theta)
        return [start, *descend(course, start, torch.ones(()), self.schedule(steps), zone)]

    def error(self, steps: int) -> float:
        """The root mean square of v(T) - f over all f in -1..1."""
        f = torch.linspace(-1.0, 1.0, 2001)
        return float((self.run(f, steps)[-1] - f).square().mean().sqrt())


RATIOS = (0.6, 0.75, 0.9)
PANELS: dict[str, Sequence[Case]] = {
    "binary: fires at every step": [Case(ratio, BINARY) for ratio in RATIOS],
    "ternary: silent near f (theta 0.5)": [Case(ratio) for ratio in RATIOS],
    "ternary, f arrives 4 steps late": [*(Case(ratio, late=4) for ratio in RATIOS), Case(0.75, stagger=8.0, late=4)],
}
