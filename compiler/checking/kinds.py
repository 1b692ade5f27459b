"""What an output is: scores of classes, chosen entries, numbers to be met, or an embedding."""

from collections.abc import Mapping

import numpy as np

from spikec.errors import UsageError

CLASSES, CHOICES, REGRESSION, EMBEDDING = "classes", "choices", "regression", "embedding"
NAMED = (CLASSES, REGRESSION, EMBEDDING)  # what a thresholds file may call a float output
BEST = 5  # of the metric top5_agreement


def kind_of(name: str, value: np.ndarray, named: str | None) -> str:
    """The kind of an output from its array (N, ...): what the user ``named``, else by type and shape.

    Whole numbers and booleans are ``choices`` (of ArgMax, TopK), floats (N, K) with K > 1 ``classes``, other floats
    ``regression``.

    Raises:
        UsageError: the array cannot be what it was named.
    """
    if not np.issubdtype(value.dtype, np.floating):
        if named is not None:
            raise UsageError(f"output '{name}' is {value.dtype}, which cannot be of kind {named}; leave its kind out")
        return CHOICES
    scores = value.ndim == 2 and value.shape[1] > 1
    if named == CLASSES and not scores:
        raise UsageError(
            f"output '{name}' has shape (N, {', '.join(map(str, value.shape[1:]))}); class scores are (N, classes)"
        )
    return named or (CLASSES if scores else REGRESSION)


def labelled_output(outputs: Mapping[str, np.ndarray], kinds: Mapping[str, str]) -> str | None:
    """The output that labels speak of: the first one of chosen classes (N,) or (N, k), else of class scores."""
    chosen = [n for n, value in outputs.items() if kinds[n] == CHOICES and value.ndim in (1, 2) and value.dtype != bool]
    return next(iter([*chosen, *(name for name in outputs if kinds[name] == CLASSES)]), None)


def answers(value: np.ndarray, kind: str) -> np.ndarray:
    """What each sample was taken for: the class (N, 1), or of ``choices`` with more axes every entry (N, entries)."""
    if kind == CLASSES:
        return np.asarray(value.argmax(axis=1)[:, None])
    if value.ndim <= 2:
        return value.reshape(len(value), -1)[:, :1]  # TopK: best first
    return value.reshape(len(value), -1)
