"""What every benchmark's command has in common."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from spikec.errors import EnvironmentMissing, SpikecError, UsageError

if TYPE_CHECKING:
    from rich import progress as bars


def exit_code(name: str, work: Callable[[], None]) -> int:
    """Do ``work`` for the benchmark ``name``: 0, or the code of the error that stopped it, told in one line."""
    try:
        work()
    except SpikecError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def progress_bar(amount: "bars.ProgressColumn") -> "bars.Progress":
    """A bar on standard error with the time that has passed and the time left; ``amount`` shows how much is done."""
    from rich import progress as bars  # not every benchmark draws a bar, and not every machine has the package
    from rich.console import Console

    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), amount)
    times = (bars.TimeElapsedColumn(), bars.TimeRemainingColumn())
    return bars.Progress(*columns, *times, console=Console(stderr=True, highlight=False))


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UsageError: it is neither the CPU nor one of CUDA.
        EnvironmentMissing: torch sees no CUDA device.
    """
    if device != "cpu":
        import torch

        if not device.startswith("cuda"):
            raise UsageError(f"there is no device '{device}'; write cpu, cuda or cuda:N")
        if not torch.cuda.is_available():
            raise EnvironmentMissing("no CUDA device is available to torch; use --device cpu")
