"""The dead zone theta(t) of every neuron: as asked, narrower before the last step for kinds that are eager."""

from collections.abc import Iterable

import numpy as np

from spikec.errors import UsageError
from spikec.lowering.network import Neuron

KINDS = ("unary", "binary", "many", "window", "row", "softmax", "product", "encoder")


def dead_zone_tables(neurons: Iterable[Neuron], steps: int, dead_zone: float, early: str) -> dict[str, np.ndarray]:
    """theta(t), (T,) in float32, by neuron name.

    An eager neuron fires on errors of less than half a step, which it may have to take back: worth it where what
    follows waits for its news, as what follows a softmax does. The last step cannot be taken back; there theta is
    ``dead_zone`` for all.

    Args:
        neurons: of the network.
        steps: T.
        dead_zone: theta at the last step, and at the others where ``early`` does not say; 0 makes all neurons binary.
        early: ``KIND=theta,...``; see ``parse_early``.
    """
    before = parse_early(early) if dead_zone else {}
    tables = {}
    for neuron in neurons:
        table = np.full(steps, before.get(kind_of(neuron), dead_zone), np.float32)
        table[-1] = dead_zone
        tables[neuron.name] = table
    return tables


def kind_of(neuron: Neuron) -> str:
    """The kind of a neuron, a softmax being told from other rows."""
    parts = neuron.function
    is_softmax = "oftmax" in parts or ("Exp" in parts and "ReduceSum" in parts)
    return "softmax" if neuron.kind == "row" and is_softmax else neuron.kind


def parse_early(spec: str) -> dict[str, float]:
    """Dead zone before the last step by kind of neuron, from ``KIND=theta,KIND=theta`` (empty: none).

    Raises:
        UsageError: an unknown kind, or a theta that is not above 0 and below 1.
    """
    zones = {}
    for item in filter(None, spec.split(",")) if isinstance(spec, str) else [str(spec)]:
        kind, _, number = item.partition("=")
        if kind not in KINDS:
            raise UsageError(f"early dead zone: there is no kind of neuron '{kind}'; choose among {', '.join(KINDS)}")
        try:
            zones[kind] = float(number)
        except ValueError:
            zones[kind] = -1.0
        if not 0 < zones[kind] < 1:
            raise UsageError(f"early dead zone of {kind} is '{number}'; it must be a number above 0 and below 1")
    return zones
