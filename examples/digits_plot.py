"""The demo's picture: accuracy over the number of time steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from examples.digits_measure import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = {"default": ("#1f5fa8", "o"), "paper": ("#d1701f", "s")}  # colour and marker by preset


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw one panel per network into the PNG ``path``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(row.network for row in rows))
    figure = Figure(figsize=(5.2 * len(networks), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for panel, network in zip(panels, networks, strict=True):
        _panel(panel, network, [row for row in rows if row.network == network])
    panels[0].set_ylabel("accuracy on the test digits [%]")
    figure.savefig(path, dpi=150)


def _panel(axes: "Axes", network: str, rows: Sequence[Row]) -> None:
    times = list(rows[0].accuracy)
    ann = 100 * rows[0].ann
    axes.axhline(ann, color="#555555", linestyle="--", linewidth=1.2, label=f"trained network ({ann:.1f} %)")
    for row in rows:
        colour, marker = STYLES[row.preset]
        percent = [100 * share for share in row.accuracy.values()]
        axes.plot(times, percent, color=colour, marker=marker, linewidth=1.8, label=f"spiking, preset {row.preset}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(times, [str(t) for t in times])
    axes.minorticks_off()
    axes.set_ylim(0, 104)
    axes.set(title=network, xlabel="time steps T")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)  # below: no corner is free of curves
