"""Tensors that an operator computes once for each shape that it meets, and who else has to keep them alive."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_KEEPERS: list[list[object]] = []  # those that now take down what the caches give


def by_shape(maxsize: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """As ``functools.lru_cache``, for a function that gives tensors: ``keeping`` sees what it gives."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        cached: Any = lru_cache(maxsize)(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            value: R = cached(*args, **kwargs)
            for keeper in _KEEPERS:
                keeper.append(value)
            return value

        return call

    return decorate


@contextmanager
def keeping() -> Iterator[list[object]]:
    """A list of what the caches give meanwhile. A recorded graph reads it long after a cache has dropped it."""
    kept: list[object] = []
    _KEEPERS.append(kept)
    try:
        yield kept
    finally:
        _KEEPERS.remove(kept)
