"""Train two small networks on digits, convert them, run them, compare: ``python -m examples.digits_demo``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from rich import progress as bars
from rich.console import Console
from rich.table import Table

from examples import digits_measure as measuring
from examples.digits_measure import PRESETS, SAVED, TIMES, Row
from examples.digits_networks import RECIPES, Digits, Recipe, load, train
from examples.digits_plot import plot
from spikec.errors import CheckFailed, SpikecError

TOLERANCE = 0.01  # by which the default preset may be below the trained network
FEW = 160  # columns where the output is no terminal


@dataclass(frozen=True)
class Demo:
    """Where the demo writes and at what scale it runs; ``epochs`` None: each network's own."""

    folder: Path
    digits: Digits
    times: Sequence[int] = TIMES
    saved: int = SAVED
    epochs: int | None = None

    def network(self, recipe: Recipe, console: Console) -> tuple[list[Row], float]:
        """Train, export, plan, compile and run one network: a row for each preset, and the engines' agreement."""
        path = self.folder / f"{recipe.stem}.onnx"
        with progress_bars(console) as bar:
            task = bar.add_task(f"{recipe.title}: training")
            network = train(recipe, self.digits, partial(_show, bar, task), self.epochs)
            measuring.export(network, recipe, self.digits, path)
            rows = [self._row(recipe, preset, path, bar) for preset in PRESETS]
            task = bar.add_task(f"{recipe.title}: three engines", total=1)
            agreed = measuring.agreement(measuring.artifact_path(path, "default", self.saved), self.digits.test)
            bar.update(task, completed=1)
        console.print(
            f"{recipe.title}: onnxruntime alone, the runtime on onnxruntime and the runtime on torch give the same "
            f"class to {100 * agreed:.2f} % of {len(self.digits.test)} images (default, T = {self.saved})"
        )
        return rows, agreed

    def _row(self, recipe: Recipe, preset: str, path: Path, bar: bars.Progress) -> Row:
        bar.console.print(f"{recipe.title}, {preset}: {measuring.plan_summary(path, preset)}")
        task = bar.add_task(f"{recipe.title}: {preset}")
        show = partial(_show, bar, task)
        row = measuring.measure(recipe, preset, path, self.digits, self.times, self.saved, show)
        for warning in row.warnings:
            brief = ":".join(warning.split(":")[:2])  # the names of the neurons are in results.json
            bar.console.print(f"warning: {recipe.title}, {preset}, {brief}", style="yellow")
        return row


def run(demo: Demo, console: Console) -> list[Row]:
    """The whole demo; the files are in its folder afterwards."""
    start = perf_counter()
    demo.folder.mkdir(parents=True, exist_ok=True)
    rows, agreed = [], {}
    for recipe in RECIPES:
        found, agreed[recipe.title] = demo.network(recipe, console)
        rows += found
    plot(rows, demo.folder / "accuracy.png")
    results = _results(demo, rows, agreed)
    (demo.folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    console.print(table(rows, demo.saved))
    console.print(f"written to {demo.folder}: {', '.join(sorted(p.name for p in demo.folder.iterdir()))}")
    console.print(f"{perf_counter() - start:.0f} seconds")
    return rows


def table(rows: Sequence[Row], saved: int) -> Table:
    """One line for each network and preset."""
    made = Table(title="Accuracy on the test digits [%]", title_justify="left", header_style="bold")
    for name in ("network", "preset"):
        made.add_column(name)
    for name in ("ANN", *(f"T={t}" for t in rows[0].accuracy), f"spike rate at T={saved}"):
        made.add_column(name, justify="right")
    for row in rows:
        percents = (f"{100 * share:.2f}" for share in (row.ann, *row.accuracy.values()))
        made.add_row(row.network, row.preset, *percents, f"{row.rate[saved]:.3f}")
    return made


def check(rows: Sequence[Row], saved: int) -> None:
    """Compare the default preset with the trained network.

    Raises:
        CheckFailed: it is more than one point below, for any of the networks.
    """
    low = [row for row in rows if row.preset == "default" and row.ann - row.accuracy[saved] > TOLERANCE + 1e-9]
    if low:
        found = "; ".join(f"{r.network}: {100 * r.accuracy[saved]:.2f} % instead of {100 * r.ann:.2f} %" for r in low)
        raise CheckFailed(f"the default preset at T = {saved} is over 1.0 points below the trained network: {found}")


def progress_bars(console: Console) -> bars.Progress:
    """Bars that stay when they are done."""
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TaskProgressColumn())
    return bars.Progress(*columns, bars.TimeElapsedColumn(), console=console)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.digits_demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for artifacts and figures")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # tensors this small gain nothing from a second thread, and lose much if cores are busy
    console = Console(highlight=False, width=None if sys.stdout.isatty() else FEW)
    try:
        check(run(Demo(options.output, load()), console), SAVED)
    except SpikecError as error:
        print(f"digits_demo: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _show(bar: bars.Progress, task: bars.TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _results(demo: Demo, rows: Sequence[Row], agreed: dict[str, float]) -> dict[str, Any]:
    digits = demo.digits
    counts = {"train": len(digits.train), "calibration": len(digits.calibration), "test": len(digits.test)}
    return {"images": counts, "saved steps": demo.saved, "agreement": agreed, "rows": [r.as_dict() for r in rows]}


if __name__ == "__main__":
    sys.exit(main())
