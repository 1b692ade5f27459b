"""The picture: accuracy over the number of time steps, one panel a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.accuracy.results import Measured
from benchmarks.accuracy.row import TIMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
# spikec in full lines, SpikingJelly dashed; a row that is not listed here takes matplotlib's next colour
STYLES: dict[str, dict[str, Any]] = {
    "default": {"color": "#1f5fa8", "marker": "o", "linewidth": 2.2, "zorder": 5},
    "tuned": {"color": "#b02a5c", "marker": "*", "linewidth": 1.6, "zorder": 6},
    "strict": {"color": "#55a0d8", "marker": "s"},
    "paper": {"color": "#d1701f", "marker": "s"},
    "subgradient-max": {"color": "#8a8a8a", "marker": "v"},
    "subgradient-99.9": {"color": "#4a4a4a", "marker": "^"},
    "spikingjelly-max": {"color": "#b9d6a3", "marker": "v", "linestyle": "--"},
    "spikingjelly-99.9": {"color": "#6aa84f", "marker": "^", "linestyle": "--"},
    "spikingjelly-ltb": {"color": "#2f6b1c", "marker": "D", "linestyle": "--"},
    "spikingjelly-sta": {"color": "#8e4fa8", "marker": "D", "linestyle": "--"},
}


def plot(networks: Mapping[str, Measured], titles: Mapping[str, str], path: Path) -> None:
    """Draw ``networks`` into the file ``path``, of the kind that its ending says."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(networks))
    lines = -(-len(networks) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * lines + 0.7), layout="constrained")
    panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    for panel, (name, measured) in zip(panels, networks.items(), strict=False):
        _panel(panel, titles[name], measured)
    for panel in panels[len(networks) :]:
        panel.set_visible(False)
    handles = {label: h for panel in panels for h, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False)
    figure.supylabel("accuracy on the test images [%]", fontsize="medium")
    with mpl.rc_context({"svg.hashsalt": "spikec"}):  # the same numbers give the same file
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def _panel(axes: "Axes", title: str, measured: Measured) -> None:
    axes.axhline(100 * measured.accuracy, color="#222222", linestyle=":", linewidth=1.3, label="trained network")
    for name, row in measured.rows.items():
        if row.points:
            percent = [100 * point.accuracy for point in row.points.values()]
            axes.plot(list(row.points), percent, label=name, markersize=4, **STYLES.get(name, {"marker": "*"}))
    axes.set_xscale("log", base=2)
    axes.set_xticks(TIMES, [str(t) for t in TIMES])
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    axes.set(title=title, xlabel="time steps T")
    axes.grid(color="#dddddd", linewidth=0.6)
