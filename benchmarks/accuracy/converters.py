"""The rows of the benchmark: every converter under one name and one call."""

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.accuracy import own, rate_coding, spatio_temporal
from benchmarks.accuracy.row import Row
from benchmarks.accuracy.spikingjelly_package import package
from benchmarks.accuracy.subject import Subject
from benchmarks.configuration import Progress
from spikec.errors import InternalError, ModelError

CONVERTERS: dict[str, Callable[[Subject, Sequence[int], Progress], Row]] = {
    **{configuration.name: partial(own.measure, configuration) for configuration in own.CONFIGURATIONS},
    **{name: partial(rate_coding.measure, name) for name in rate_coding.ROWS},
    spatio_temporal.NAME: spatio_temporal.measure,
}
_ABOUT = {
    **{configuration.name: configuration.what for configuration in own.CONFIGURATIONS},
    **{name: f"SpikingJelly, {what}" for name, what in rate_coding.ROWS.items()},
    spatio_temporal.NAME: "SpikingJelly, spatio-temporal approximation",
}


def check_installed(names: Sequence[str]) -> None:
    """Look for the packages that the rows ``names`` need before hours are spent on the others.

    Raises:
        EnvironmentMissing: one is not installed.
    """
    if any(name.startswith("spikingjelly") for name in names):
        package("ann2snn")


def measure(name: str, subject: Subject, times: Sequence[int], progress: Progress) -> Row:
    """The row ``name`` of ``subject``, with the reason in place of figures where the converter cannot take it."""
    try:
        return CONVERTERS[name](subject, times, progress)
    except (ModelError, InternalError) as error:
        return Row(_ABOUT[name], reason=str(error))
