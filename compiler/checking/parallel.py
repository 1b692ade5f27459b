"""Several processes that share the samples, started by torchrun: each takes every N-th batch."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from spikec.errors import EnvironmentMissing, InternalError

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """This process among ``size``: ``rank`` of all, ``local`` of those on its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def speaks(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def takes(self, batch: int) -> bool:
        """Whether the batch of this number is for this process."""
        return batch % self.size == self.rank

    def gather(self, make: Callable[[], Value]) -> list[Value]:
        """What ``make`` gives in every process, by rank; every process gets all.

        Raises:
            Exception: what ``make`` raised in the first process where it did, in every process: none waits for another.
        """
        made: tuple[Value | None, Exception | None]
        try:
            made = (make(), None)
        except Exception as error:  # whatever it is, the others have to hear of it
            made = (None, error if hasattr(error, "exit_code") or self.size == 1 else _portable(error))
        everywhere = self._exchange(made)
        for _, failure in everywhere:
            if failure is not None:
                raise failure
        return [value for value, _ in everywhere]

    def _exchange(self, mine: Any) -> list[Any]:
        if self.size == 1:
            return [mine]
        import torch.distributed

        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, mine)
        return found


def _portable(error: Exception) -> InternalError:
    """A fault of the program in a form that any other process can read."""
    return InternalError(f"{type(error).__name__}: {error}")


def world_of_environment() -> World:
    """What torchrun says in RANK, WORLD_SIZE and LOCAL_RANK; without them a single process.

    Raises:
        EnvironmentMissing: they are set, and are no numbers.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World()
    try:
        return World(*(int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except ValueError as error:
        raise EnvironmentMissing("RANK, WORLD_SIZE and LOCAL_RANK are no numbers; start with torchrun") from error


@contextmanager
def joined(world: World, device: str) -> Iterator[None]:
    """The processes connected: by gloo, or on CUDA by NCCL.

    Raises:
        EnvironmentMissing: they cannot find each other, or there is no CUDA device for one of them.
    """
    if world.size == 1:
        yield
        return
    import torch

    try:
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EnvironmentMissing(
            f"the {world.size} processes cannot be joined: {reason}; start with torchrun"
        ) from error
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
