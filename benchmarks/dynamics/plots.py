"""The three pictures of ``docs/accuracy.md``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.accuracy.row import Point
from benchmarks.dynamics.depths import Line
from benchmarks.dynamics.one_neuron import PANELS, VALUE, Case

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {0.6: "#1f5fa8", 0.75: "#2f8f4e", 0.9: "#d1701f"}  # by ratio
STYLES = (
    ("#8a8a8a", "v", "--"),
    ("#55a0d8", "s", "--"),
    ("#2f8f4e", "D", "-"),
    ("#d1701f", "^", "-"),
    ("#1f5fa8", "o", "-"),
)


def one_neuron(path: Path, steps: int) -> None:
    """v(t) beside f, a panel for each kind of neuron, a line for each schedule."""
    figure = _figure(12.6, 3.6)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (title, cases) in zip(panels, PANELS.items(), strict=True):
        late = cases[0].late
        axes.step(
            [0, late, steps], [0.0 if late else VALUE, VALUE, VALUE], where="post", color="#222222", ls=":", label="f"
        )
        for case in cases:
            course = [float(v) for v in case.run(torch.tensor(VALUE), steps)]
            style = "--" if case.stagger else "-"
            axes.step(range(steps + 1), course, where="post", color=COLOURS[case.ratio], ls=style, label=_label(case))
        axes.set(title=title, xlabel="step t", xlim=(0, steps), ylim=(-0.6, 1.1))
        axes.legend(loc="lower right", frameon=False, fontsize="small")
    panels[0].set_ylabel("output estimate v(t), in amplitudes")
    _save(figure, path)


def depths(path: Path, staggers: Mapping[str, Sequence[Line]]) -> None:
    """The error of every neuron at every step, coloured by depth; a panel for each schedule."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable

    figure, colours = _figure(10.5, 3.9), colormaps["viridis"]
    panels = figure.subplots(1, len(staggers), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(panels, staggers.items(), strict=True):
        for line in lines:
            is_output = line is lines[-1]
            style = {"color": "#c02020", "lw": 2.2} if is_output else {"color": colours(0.95 * line.depth), "lw": 1.1}
            label = "output of the network" if is_output else None
            axes.plot(range(1, len(line.distances) + 1), line.distances, label=label, **style)
        axes.set(title=title, xlabel="step t", yscale="log")
        axes.legend(loc="lower left", frameon=False)
    panels[0].set_ylabel("distance from the ANN, |v(t) - f| / |f|")
    figure.colorbar(ScalarMappable(cmap=colours), ax=list(panels), label="relative depth of the neuron", pad=0.01)
    _save(figure, path)


def amplitudes(path: Path, rows: Mapping[str, Mapping[int, Point]], trained: float) -> None:
    """Accuracy and distance of the outputs over T, a line for each way to choose amplitudes."""
    figure = _figure(10.5, 3.9)
    left, right = figure.subplots(1, 2)
    left.axhline(100 * trained, color="#222222", linestyle=":", label="trained network")
    for (name, points), (colour, marker, style) in zip(rows.items(), STYLES, strict=True):
        drawn = {"color": colour, "marker": marker, "linestyle": style, "markersize": 4}
        left.plot(list(points), [100 * point.accuracy for point in points.values()], label=name, **drawn)
        right.plot(list(points), [point.distance for point in points.values()], label=name, **drawn)
    left.set(ylabel="accuracy on the test digits [%]", ylim=(0, 102))
    right.set(ylabel="distance of the logits from the ANN's", yscale="log")
    left.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        _over_steps(axes, list(next(iter(rows.values()))))
    _save(figure, path)


def _label(case: Case) -> str:
    return f"ratio {case.ratio:g}" + (f", stagger {case.stagger:g}" if case.stagger else "")


def _over_steps(axes: "Axes", times: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(times, [str(t) for t in times])
    axes.set_xlabel("time steps T")


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: Path) -> None:
    import matplotlib as mpl

    for axes in figure.axes:
        if axes.get_xlabel():  # a colour bar has none
            axes.grid(color="#dddddd", linewidth=0.6)
    with mpl.rc_context({"svg.hashsalt": "spikec"}):  # the same numbers give the same file
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
