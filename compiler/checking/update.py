"""Rewrites a thresholds file to ask for what was measured: tighter always, looser only where that is allowed."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from spikec.artifact.write import write_bytes
from spikec.checking.result import CheckResult, outcome
from spikec.checking.running import identity_of
from spikec.checking.threshold_keys import KEYS
from spikec.checking.thresholds import BUILT_IN_ORIGIN, Identity, Thresholds, read_lines
from spikec.checking.verdict import FAILED, PASSED, Measurement, judge

_HEADER = "# Thresholds of spikec check; --update makes them as tight as what was measured.\n\n"


def update(path: Path, thresholds: Thresholds, result: CheckResult, allow_loosen: bool) -> CheckResult:
    """Write the file ``path`` anew, and return the result as the new thresholds judge it, with a note on what changed.

    Changed lines go where they concern nothing but this network, output and number of steps. The comment at the
    beginning of the file stays; a warning says where others get lost.

    Raises:
        UsageError: the file cannot be written.
    """
    changed = [row for row in result.measurements if _changes(row, allow_loosen)]
    notes = [f"{path}: {row.key} for {row.where} was {row.threshold:g}, is {row.would_pass:g}" for row in changed]
    if not changed:
        return replace(
            result, warnings=(*result.warnings, f"{path}: no threshold can be tightened, nothing is written")
        )
    identity = identity_of(result)
    document = copy.deepcopy(thresholds.document or {})
    for row in changed:
        _set(document, row, thresholds, identity)
    header = thresholds.header if thresholds.document is not None else _HEADER
    if thresholds.comments:
        notes.append(f"{path}: comments behind the first lines are lost")
    write_bytes((header + tomli_w.dumps(document)).encode(), path)
    written = Thresholds(tuple(read_lines(document, str(path))), str(path), document, header)
    judged = judge(
        result.measurements, written, identity, whole=result.artifact_steps or 0, labels=bool(result.data.labels)
    )
    told = (*result.warnings, *notes)
    return replace(result, **outcome(judged), measurements=tuple(judged), thresholds=str(path), warnings=told)


def _changes(row: Measurement, allow_loosen: bool) -> bool:
    if row.verdict == FAILED:
        return allow_loosen
    if row.verdict != PASSED or row.key is None or row.would_pass is None or row.threshold is None:
        return False
    return KEYS[row.key].tighter(row.would_pass, row.threshold)


def _set(document: dict[str, Any], row: Measurement, thresholds: Thresholds, identity: Identity) -> None:
    """Put the tightest threshold where it counts for this network, output and number of steps."""
    assert row.key is not None  # only measurements with a threshold change
    line = thresholds.find(row.key, identity, row.output, row.steps) if thresholds.origin != BUILT_IN_ORIGIN else None
    model = (line.scope.model if line else None) or identity.names[0]
    path = ["models", model, *(["outputs", row.output] if row.output is not None else []), "steps", str(row.steps)]
    table = document
    for name in path:
        table = table.setdefault(name, {})
    table[row.key] = row.would_pass
