"""A check from its options to its reports: whatever happens, the reports that can be written are."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from spikec.artifact.write import check_apart, check_writable
from spikec.checking.parallel import World, joined
from spikec.checking.reports import Reports
from spikec.checking.result import ERROR, CheckResult
from spikec.checking.running import Request, Told, run_check
from spikec.checking.thresholds import Thresholds, read_thresholds
from spikec.checking.update import update
from spikec.errors import UsageError

INTERNAL, INTERRUPTED = 4, 130


@dataclass(frozen=True)
class Gate:
    """What is asked for besides the measuring.

    Attributes:
        thresholds: the file, or None for what is built in.
        reports: where the outcome goes.
        update: whether to rewrite the thresholds as tight as what was measured.
        allow_loosen: whether that may loosen those that were missed.
        world: this process among several.
    """

    thresholds: Path | None
    reports: Reports
    update: bool = False
    allow_loosen: bool = False
    world: World = field(default_factory=World)

    def run(self, typed: Request, parsed: Callable[[Request], Request], told: Told) -> CheckResult:
        """The outcome, with all reports written by the process of rank 0.

        Args:
            typed: the request as it stands on the command line.
            parsed: what checks and reads the words in it.
            told: hears of progress.

        Raises:
            Exception: what hindered the check, when the reports that can be written say so.
        """
        typed = replace(typed, thresholds=Thresholds(origin=str(self.thresholds))) if self.thresholds else typed
        try:
            request = parsed(replace(typed, thresholds=self._options(typed)))
            with joined(self.world, request.settings.on(self.world.local).device):
                result = run_check(request, self.world, told)
                return self.world.gather(lambda: self._finished(request, result, told))[0]
        except (Exception, KeyboardInterrupt) as error:
            if self.world.speaks:
                self.reports.write_possible(hindered(typed, error), *self._read(typed))
            raise

    def _options(self, typed: Request) -> Thresholds:
        """The thresholds, all paths being such that the rest can be done."""
        if self.allow_loosen and not self.update:
            raise UsageError("--allow-loosen goes with --update")
        if self.update and self.thresholds is None:
            raise UsageError("--update rewrites a file: name it with --thresholds")
        self.reports.check(*self._read(typed))
        if self.update and self.thresholds is not None:
            check_apart(self.thresholds, *self._read(typed)[1:])
            check_writable(self.thresholds)
        return read_thresholds(self.thresholds, may_be_new=self.update)

    def _read(self, typed: Request) -> list[str | Path | None]:
        """The files that no output may replace, the thresholds first."""
        files = [typed.model, typed.artifact]
        return [
            self.thresholds,
            *(f for f in files if isinstance(f, (str, Path))),
            typed.where.data,
            typed.where.labels,
        ]

    def _finished(self, request: Request, result: CheckResult, told: Told) -> CheckResult:
        if not self.world.speaks:
            return result
        if self.update and self.thresholds is not None:
            result = update(self.thresholds, request.thresholds, result, self.allow_loosen)
        self.reports.write(result)
        self.reports.write_page(request, result, told)
        return result


def hindered(request: Request, error: BaseException) -> CheckResult:
    """The result of a check that could not be carried out."""
    reason = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        reason = "interrupted"
    elif not hasattr(error, "exit_code"):
        reason = f"internal error: {type(error).__name__}: {reason}"
    return CheckResult(ERROR, reason, exit_code(error), **request.named())


def exit_code(error: BaseException) -> int:
    """What the command line ends with after ``error``."""
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(getattr(error, "exit_code", INTERNAL))
