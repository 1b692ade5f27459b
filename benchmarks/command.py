"""What every benchmark's command has in common."""

import sys
from collections.abc import Callable

from spikec.errors import SpikecError


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
