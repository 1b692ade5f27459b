"""What ``spikec run --until`` prints: when samples left, and with labels the accuracy."""

from typing import Any

import numpy as np
import typer

from spikec.cli.output import number, print_json, print_table
from spikec.runtime.result import EarlyResult


def report_exits(told: dict[str, Any], result: EarlyResult, accuracy: float | None, as_json: bool) -> None:
    """Print steps used and accuracy behind what is ``told`` of the run; ``--json`` names how many samples used each."""
    taken, counts = np.unique(result.steps, return_counts=True)
    samples = {str(steps): int(count) for steps, count in zip(taken, counts, strict=True)}
    if as_json:
        steps = {"mean": result.mean_steps, "limit": result.limit, "samples": samples}
        shapes = {name: list(value.shape) for name, value in result.outputs.items()}
        print_json({**told, "accuracy": accuracy, "steps": steps, "outputs": shapes})
        return
    rows = [[steps, count] for steps, count in samples.items()]
    print_table(f"Until {told['until']}", ["steps", "samples"], rows, right=["steps", "samples"])
    right = "" if accuracy is None else f", accuracy {100 * accuracy:.2f} %"
    typer.echo(f"{told['samples']} samples, {number(result.mean_steps)} of {result.limit} steps on average{right}")
