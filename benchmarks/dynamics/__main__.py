"""The pictures and figures of ``docs/accuracy.md``: ``python -m benchmarks.dynamics``.

Needs the packages of the extra ``demo``, and no data folder: the network is the MLP-Mixer of the digits example.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.networks import CACHE
from benchmarks.accuracy.row import Point
from benchmarks.accuracy.subject import Subject
from benchmarks.command import exit_code
from benchmarks.dynamics import amplitudes, depths, plots
from benchmarks.dynamics.one_neuron import BINARY, RATIOS, TERNARY, Case
from spikec.artifact.write import make_folder
from spikec.schedules import fitted_stagger

OUTPUT = Path(__file__).parents[2] / "docs" / "images"
STEPS = 16  # of the first two pictures
TIMES = (2, 4, 8, 16, 32)
IMAGES = 200  # test images: enough to tell the lines apart, in two minutes on one core


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures, write the pictures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dynamics", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER", help="of the pictures")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="FOLDER", help="of the network trained here")
    options = parser.parse_args(arguments)
    return exit_code("dynamics", partial(_draw, options))


def _draw(options: argparse.Namespace) -> None:
    from benchmarks.accuracy.digits import trained  # needs the packages of the extra `demo`

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    make_folder(options.output)
    plots.one_neuron(options.output / "one_neuron.svg", STEPS)
    console.print(_one_neuron(STEPS))
    subject = trained("mixer", options.cache, IMAGES, lambda done, total: None)
    draw_network(subject, options.output, console, STEPS, TIMES)


def draw_network(subject: Subject, folder: Path, console: Console, steps: int, times: Sequence[int]) -> None:
    """The pictures and figures that need a network."""
    schedules = {f"stagger {s:.3g}": f"geometric:stagger={s}" for s in (0.0, fitted_stagger(steps))}
    lines = {title: depths.lines(subject, steps, schedule) for title, schedule in schedules.items()}
    plots.depths(folder / "depths.svg", lines)
    for title, found in lines.items():
        console.print(f"T = {steps}, {title}: distance of the output from the ANN's {found[-1].distances[-1]:.3f}")
    rows = {c.name: amplitudes.measure(c, subject, times) for c in amplitudes.CONFIGURATIONS}
    plots.amplitudes(folder / "amplitudes.svg", rows, subject.accuracy)
    console.print(_amplitudes(rows, subject.accuracy))


def _one_neuron(steps: int) -> Table:
    """Errors of single neurons, f being drawn from the whole range."""
    table = Table("neuron", *(f"ratio {ratio}" for ratio in RATIOS), title=f"error of v({steps}), share of the range")
    for name, case in {
        "binary": partial(Case, theta=BINARY),
        "ternary": partial(Case, theta=TERNARY),
        "ternary, f 4 steps late": partial(Case, late=4),
        "the same, stagger 8": partial(Case, late=4, stagger=8.0),
    }.items():
        table.add_row(name, *(f"{case(ratio).error(steps):.4f}" for ratio in RATIOS))
    return table


def _amplitudes(rows: Mapping[str, Mapping[int, Point]], trained: float) -> Table:
    times = list(next(iter(rows.values())))
    title = f"accuracy in %, distance of the logits; the trained network {100 * trained:.1f} %"
    table = Table("amplitudes", *(f"T = {t}" for t in times), title=title)
    for name, points in rows.items():
        table.add_row(name, *(f"{100 * p.accuracy:.1f}, {p.distance:.3f}" for p in points.values()))
    return table


if __name__ == "__main__":
    sys.exit(main())
