"""The reports of a check as files: JSON for machines, JUnit for CI servers, Markdown and a page for people."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spikec.artifact.write import check_apart, check_writable, write_bytes
from spikec.checking.junit import junit
from spikec.checking.markdown import markdown
from spikec.checking.result import CheckResult
from spikec.errors import UsageError

if TYPE_CHECKING:
    from spikec.checking.running import Request, Told


@dataclass(frozen=True)
class Reports:
    """Where reports go; None: there is none of that format."""

    json: Path | None = None
    junit: Path | None = None
    markdown: Path | None = None
    page: Path | None = None

    def check(self, *read: str | Path | None) -> None:
        """Make sure that all can be written, into files apart that are none of those ``read``.

        Raises:
            UsageError: one cannot.
            EnvironmentMissing: what draws the page is not installed.
        """
        if self.page is not None:
            from spikec.reporting.drawing import check_installed

            check_installed()
        for path in self._asked():
            check_apart(path, *read)
            check_writable(path)
        if len({path.resolve() for path in self._asked()}) < len(self._asked()):
            raise UsageError("two reports would go into the same file; give each its own")

    def write(self, result: CheckResult) -> None:
        """Write them all.

        Raises:
            UsageError: one cannot be written.
        """
        for path, content in self._formats():
            if path is not None:
                write_bytes(content(result).encode(), path)

    def write_page(self, request: "Request", result: CheckResult, told: "Told") -> None:
        """Write the page, which takes a look into the artifact.

        Args:
            told: called with (done, in all) of each stage.

        Raises:
            UsageError: it cannot be written.
            EnvironmentMissing: what draws it is not installed.
        """
        if self.page is not None:
            from spikec.reporting import gather, render

            content = gather(request, result, lambda stage, done, total: told(done, total))
            write_bytes(render(content).encode(), self.page)

    def write_possible(self, result: CheckResult, *read: str | Path | None) -> None:
        """Write those that can be, after an error that has its own message already."""
        for path, content in self._formats():
            if path is None:
                continue
            try:
                check_apart(path, *read)
                write_bytes(content(result).encode(), path)
            except UsageError:
                continue  # the first of these may be what the error is about

    def _asked(self) -> list[Path]:
        return [path for path in (*(path for path, _ in self._formats()), self.page) if path is not None]

    def _formats(self) -> list[tuple[Path | None, Callable[[CheckResult], str]]]:
        return [(self.json, as_json), (self.junit, junit), (self.markdown, markdown)]


def as_json(result: CheckResult) -> str:
    """One document that ``schema.json`` describes."""
    return json.dumps(result.as_dict(), indent=2, allow_nan=False) + "\n"
