"""Times several ways to compute the same thing: in turn, so that a drifting machine wrongs none, and by their medians.

The first call of each is kept apart: it compiles, allocates and fills caches.
"""

import ctypes
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

Run = Callable[[], object]


class TooLong(Exception):
    """A call took longer than its limit."""


@dataclass(frozen=True)
class Work:
    """What is timed: ``run`` returns when the work is done, on whatever device.

    ``release`` gives back the memory that is kept between calls, before the memory of a call is measured.
    """

    run: Run
    release: Run = lambda: None


@dataclass(frozen=True)
class Contender:
    """One way to compute.

    Attributes:
        make: loads what it needs; part of the first call.
        scale: a run of T steps is so many times what one call does (T, where it makes one dense pass).
        excused: errors that stop this contender alone.
    """

    name: str
    make: Callable[[], Work]
    scale: float = 1.0
    excused: tuple[type[Exception], ...] = ()


@dataclass
class Timing:
    """What one contender took: seconds of its calls, the first one apart, and the peak in bytes; or why none counts."""

    calls: list[float] = field(default_factory=list)
    first: float | None = None
    scale: float = 1.0
    peak: int | None = None
    reason: str = ""

    @property
    def seconds(self) -> float | None:
        """The median of all calls but the first, for T steps."""
        return median(self.calls) * self.scale if self.calls else None


Timings = dict[str, Timing]


def race(
    contenders: Sequence[Contender],
    runs: int = 5,
    limit: float | None = None,
    *,
    peak: Callable[[Run], int | None] = lambda run: None,
    clock: Callable[[], float] = perf_counter,
    told: Callable[[str], None] = lambda name: None,
    kept: Callable[[Timings], None] = lambda timings: None,
) -> Timings:
    """Call each contender once to warm up, then all of them in turn, ``runs`` times over, then measure their memory.

    Args:
        contenders: in the order in which they are called.
        runs: calls of each that count.
        limit: seconds that each has for all its calls; the call that goes beyond is given up.
        peak: what measures the memory of one more call.
        clock: seconds now.
        told: hears who is called next.
        kept: hears of the timings after each round.
    """
    lanes = [_Lane(contender, limit, clock) for contender in contenders]
    timings = {lane.contender.name: lane.timing for lane in lanes}
    stages: list[Callable[[_Lane], None]] = [_Lane.begin, *[_Lane.count] * runs, lambda lane: lane.measure(peak)]
    for stage in stages:
        for lane in lanes:
            if lane.runs:
                told(lane.contender.name)
                stage(lane)
        kept(timings)
    return timings


class _Lane:
    """One contender's calls, within its share of time."""

    def __init__(self, contender: Contender, limit: float | None, clock: Callable[[], float]) -> None:
        self.contender, self.left, self.clock = contender, limit, clock
        self.timing, self.runs, self.work = Timing(scale=contender.scale), True, Work(lambda: None)

    def begin(self) -> None:
        def first() -> None:
            self.work = self.contender.make()
            self.work.run()

        self.timing.first = self._timed(first)

    def count(self) -> None:
        seconds = self._timed(self.work.run)
        self.timing.calls += [] if seconds is None else [seconds]

    def measure(self, peak: Callable[[Run], int | None]) -> None:
        def measured() -> None:
            self.work.release()
            self.timing.peak = peak(self.work.run)

        self._timed(measured)

    def _timed(self, call: Run) -> float | None:
        """Seconds of ``call``; None where it failed or found no end in time, after which there are no more."""
        start, reason = self.clock(), ""
        try:
            with deadline(self.left):
                call()
        except TooLong:
            reason = "" if self.timing.calls else "no call that counts came to its end in time"
            self.runs = False
        except self.contender.excused as error:
            reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"
            self.runs = False
        took = self.clock() - start
        if self.left is not None:
            self.left = max(0.001, self.left - took)
        self.timing.reason = reason
        return took if self.runs else None


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raises ``TooLong`` in the main thread when so many seconds have passed, as soon as Python has its turn again."""
    if seconds is None or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _alarm(number: int, frame: Any) -> None:
    raise TooLong


def peak_memory(run: Run, device: str) -> int | None:
    """The most bytes that ``run`` holds beyond what was held before it.

    On CUDA what torch allocates; on the CPU resident memory, as Linux counts it (None elsewhere).
    """
    if device != "cpu":
        import torch

        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device)) - before
    if not sys.platform.startswith("linux"):
        run()
        return None
    return _peak_resident(run)


def _peak_resident(run: Run) -> int:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)  # what is free but not given back would hide what the call takes
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back
    run()
    return max(0, _resident("VmHWM") - before)


def _resident(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))
