"""``spikec compile --check``: an artifact is written only if it passes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikec.artifact.write import check_apart, check_writable
from spikec.errors import UsageError

if TYPE_CHECKING:
    from spikec.checking import CheckResult, Thresholds
    from spikec.frontends import Source
    from spikec.prepared import Artifact


@dataclass(frozen=True)
class CompileCheck:
    """The check of a compilation: its samples, its thresholds, and where an artifact that fails goes, if anywhere."""

    data: Path
    thresholds: "Thresholds"
    output: Path
    failed: Path | None

    @classmethod
    def of(
        cls, data: Path | None, thresholds: Path | None, keep_failed: bool, output: Path, *read: str | Path | None
    ) -> "CompileCheck | None":
        """From the options of the command line; None where no check was asked for.

        Raises:
            UsageError: an option needs ``--check``, or a file cannot be read or written.
        """
        from spikec.checking import read_thresholds

        if data is None:
            odd = "--thresholds" if thresholds is not None else "--keep-failed" if keep_failed else None
            if odd is not None:
                raise UsageError(f"{odd} goes with --check DATA")
            return None
        failed = output.with_suffix(".failed.onnx") if keep_failed else None
        for path in filter(None, (output, failed)):
            check_apart(path, data, thresholds, *read)
            check_writable(path)
        return cls(data, read_thresholds(thresholds), output, failed)

    def look_at_data(self, source: "Source") -> None:
        """Whether the samples fit the model, before minutes of work.

        Raises:
            UsageError: they do not.
        """
        from spikec.calibration import signature
        from spikec.checking.streams import Where, open_stream

        open_stream(Where(self.data), signature(source.model))

    def run(self, source: "Source", artifact: "Artifact", told: Any) -> "CheckResult":
        """The outcome for a compiled artifact."""
        from spikec.checking import Request, Where, run_check

        where, called = Where(self.data), str(self.output)
        return run_check(Request(source, artifact.model, where, thresholds=self.thresholds, called=called), told=told)

    def target(self, result: "CheckResult") -> Path | None:
        """Where the artifact goes."""
        return self.output if result.exit_code == 0 else self.failed
