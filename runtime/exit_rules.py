"""When a sample is finished before the last step: the rules of early exit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spikec.runtime.errors import InputError
from spikec.runtime.result import Arrays


@dataclass(frozen=True)
class Standing:
    """What a rule decides on after a step, one row a sample still in the batch.

    Attributes:
        unchanged: (n,), the number of steps, up to this one, that have left the class as it was.
        scores: gives the class scores (n, classes).
        decided: gives (n,), whether no later spike can change the class.
    """

    unchanged: np.ndarray
    scores: Callable[[], np.ndarray]
    decided: Callable[[], np.ndarray]


class Rule(Protocol):
    """Decides which samples are finished."""

    def finished(self, standing: Standing) -> np.ndarray:
        """(n,), True for each sample that needs no further step.

        Raises:
            InputError: the artifact does not have what the rule looks at.
        """
        ...


@dataclass(frozen=True)
class Stability:
    """Finished when ``steps`` steps in a row have left the class as it was."""

    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"stability over {self.steps} steps; give at least 1")

    def finished(self, standing: Standing) -> np.ndarray:
        """See ``Rule``."""
        return np.asarray(standing.unchanged >= self.steps)


@dataclass(frozen=True)
class Margin:
    """Finished when the largest score is at least ``least`` above the second largest (in units of the output)."""

    least: float

    def __post_init__(self) -> None:
        if not self.least > 0:  # nor NaN
            raise InputError(f"a margin of {self.least}; give a number above 0")

    def finished(self, standing: Standing) -> np.ndarray:
        """See ``Rule``."""
        second, first = np.partition(standing.scores(), -2, axis=1)[:, -2:].T
        return np.asarray(first - second >= self.least)


@dataclass(frozen=True)
class Certified:
    """Finished when no later spike can change the class (``spikec.runtime.certificate``)."""

    def finished(self, standing: Standing) -> np.ndarray:
        """See ``Rule``."""
        return standing.decided()


def parse_rule(text: str) -> Rule:
    """The rule written as ``stability:3``, ``margin:2.5`` or ``certified``.

    Raises:
        InputError: it is none of them.
    """
    name, _, value = text.partition(":")
    try:
        if name == "stability":
            return Stability(int(value))
        if name == "margin":
            return Margin(float(value))
    except ValueError:
        name = ""
    if name == "certified" and not value:
        return Certified()
    raise InputError(f"there is no rule '{text}'; write stability:STEPS, margin:NUMBER or certified")


def class_output(outputs: Arrays) -> str:
    """The name of the output that tells the class: whole numbers (N,) or (N, k), best first, else scores (N, classes).

    Raises:
        InputError: no output does.
    """
    for name, value in outputs.items():
        if np.issubdtype(value.dtype, np.integer) and value.ndim in (1, 2) and value.size:
            return name
    return score_output(outputs)


def score_output(outputs: Arrays) -> str:
    """The name of the first output of class scores (N, classes).

    Raises:
        InputError: there is none.
    """
    for name, value in outputs.items():
        if np.issubdtype(value.dtype, np.floating) and value.ndim == 2 and value.shape[1] > 1:
            return name
    shapes = ", ".join(f"'{name}' {value.dtype} {value.shape}" for name, value in outputs.items())
    raise InputError(f"no output holds class scores (N, classes), but {shapes}; run all steps instead")


def classes(value: np.ndarray) -> np.ndarray:
    """The class of each sample (N,), from an output that ``class_output`` names."""
    if np.issubdtype(value.dtype, np.integer):
        return value if value.ndim == 1 else np.asarray(value[:, 0])
    return np.asarray(value.argmax(axis=1))
