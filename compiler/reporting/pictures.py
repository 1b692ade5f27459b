"""The pictures of a report: curves over T, errors by layer, spikes, energy."""

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.reporting.drawing import COLOURS, INK, drawing

MOST_ROWS = 60  # of a heat map or a raster: more cannot be told apart
WIDTH = 7.2  # inches


def curves(lines: Mapping[str, Mapping[int, float]], level: float | None, level_name: str, label: str) -> str:
    """Figures over the number of steps: ``lines`` by name, T -> value; ``level``: the trained network's own."""
    with drawing(WIDTH, 2.9, f"curve-{_slug(label)}") as picture:
        axes = picture.axes
        if level is not None:
            axes.axhline(level, color=INK, linestyle=":", linewidth=1.3, label=level_name)
        for colour, (name, points) in zip(COLOURS * len(lines), lines.items(), strict=False):
            axes.plot(list(points), list(points.values()), marker="o", markersize=4, color=colour, label=name)
        times = sorted({t for points in lines.values() for t in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(times, [str(t) for t in times])
        axes.minorticks_off()
        axes.set(xlabel="time steps T", ylabel=label)
        axes.grid(color="#88888855", linewidth=0.6)
        axes.legend(loc="best")
    return picture.svg


def heat_map(names: Sequence[str], values: np.ndarray, label: str) -> str:
    """Errors by layer (rows, (L, T)) over t (columns); of many layers those with the largest error at the end."""
    kept = np.sort(np.argsort(-values[:, -1], kind="stable")[:MOST_ROWS])
    names, values = [names[i] for i in kept], values[kept]
    with drawing(WIDTH, 0.9 + 0.17 * len(names), "heat") as picture:
        top = float(np.clip(np.nanmax(values, initial=0.0), 1e-6, 1.0))
        image = picture.axes.imshow(values, aspect="auto", cmap="magma_r", vmin=0.0, vmax=top, interpolation="nearest")
        picture.axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=7)
        steps = values.shape[1]
        ticks = np.unique(np.linspace(0, steps - 1, min(steps, 9)).round().astype(int))
        picture.axes.set_xticks(ticks, [str(t + 1) for t in ticks])
        picture.axes.set_xlabel("time step t")
        picture.figure.colorbar(image, ax=picture.axes, label=label, shrink=min(1.0, 8 / len(names)))
    return picture.svg


def raster(spikes: Mapping[str, np.ndarray], seed: int = 0) -> str:
    """Events of one sample: by layer (T, neurons) of -1, 0, +1; a few neurons of each layer, drawn at random."""
    layers = _spread_out(list(spikes), MOST_ROWS // 4)
    each = max(3, MOST_ROWS * 2 // max(1, len(layers)))
    generator, row, ticks = np.random.default_rng(seed), 0, []
    with drawing(WIDTH, 0.8 + 0.028 * each * len(layers), "raster") as picture:
        for name in layers:
            events = spikes[name]
            chosen = generator.permutation(events.shape[1])[:each]
            for sign, colour in ((1, COLOURS[0]), (-1, COLOURS[1])):
                t, neuron = np.nonzero(events[:, chosen] == sign)
                picture.axes.scatter(t + 1, neuron + row, s=9, linewidths=0.8, marker="|", color=colour)
            ticks.append((row + len(chosen) / 2, name))
            row += len(chosen) + 2
        picture.axes.set_yticks([y for y, _ in ticks], [_short(name) for _, name in ticks], fontsize=7)
        picture.axes.invert_yaxis()
        picture.axes.set_xlabel("time step t    (blue: +1, orange: -1)")
    return picture.svg


def bars(values: Mapping[str, float], label: str, limit: float | None = None) -> str:
    """One horizontal bar a name; ``limit`` draws a line."""
    names = list(values)[:MOST_ROWS]
    with drawing(WIDTH, 0.8 + 0.19 * len(names), f"bars-{_slug(label)}") as picture:
        picture.axes.barh(range(len(names)), [values[name] for name in names], color=COLOURS[0], height=0.7)
        picture.axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=7)
        picture.axes.invert_yaxis()
        picture.axes.set_xlabel(label)
        if limit is not None:
            picture.axes.axvline(limit, color=INK, linestyle=":", linewidth=1.2)
    return picture.svg


def _spread_out(names: list[str], most: int) -> list[str]:
    """At most so many of the names, evenly from the first to the last."""
    if len(names) <= most:
        return names
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))]


def _short(name: str) -> str:
    """The end of a long name, which is what tells nodes apart."""
    return name if len(name) <= 34 else "..." + name[-31:]


def _slug(text: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in text.lower())
