"""What ``spikec check`` prints, and the progress it shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from spikec.checking.result import CheckResult
from spikec.checking.rows import COLUMNS, RIGHT, rows
from spikec.cli.output import print_table, print_warnings, progress_bar


def print_check(result: CheckResult) -> None:
    """Warnings on stderr; the table, and the verdict on the last line of stdout."""
    print_warnings(result.warnings)
    title = f"{result.data.samples} samples of {result.data.origin}, thresholds: {result.thresholds}"
    if result.thresholds == "built in":
        title += f" (at the artifact's T = {result.artifact_steps}; --thresholds FILE names others)"
    print_table(title, COLUMNS, rows(result), right=RIGHT)
    typer.echo("PASSED" if result.exit_code == 0 else f"FAILED: {result.reason}")


@contextmanager
def check_progress(show: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar over the samples, with the time that is left."""
    with progress_bar(show=show, left=True) as bar:
        task = bar.add_task("checking", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
