"""One row: a network at one batch and T on one device, every contender's time."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.speed.field import DENSE, DENSE_BFLOAT16, LAYERS_BFLOAT16, Cell, contenders
from spikec.timing import Timing, Timings, peak_memory, race

_TOOLS = ("torch", "onnxruntime", "onnx", "timm", "triton", "spikingjelly")


@dataclass
class Row:
    """Timings by contender, and what they were measured on; ``reason``: why the row ended early."""

    network: str
    batch: int
    steps: int
    device: str
    timings: dict[str, Timing] = field(default_factory=dict)
    reason: str = ""
    machine: str = ""
    threads: int = 0
    tools: dict[str, str] = field(default_factory=dict)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What no two rows of a table share."""
        return self.device, self.network, self.batch, self.steps

    def ratio(self, name: str) -> float | None:
        """Time over that of T dense passes: of the fastest in float32, or on CUDA, for bfloat16, of torch.compile's."""
        seconds, dense = self._seconds(name), self.yardstick(name)
        return seconds / dense if seconds is not None and dense else None

    def yardstick(self, name: str) -> float | None:
        """Seconds of the T dense passes that ``name`` is compared with; None where none was timed."""
        if self.device != "cpu" and name in (LAYERS_BFLOAT16, DENSE_BFLOAT16):
            return self._seconds(DENSE_BFLOAT16)
        return min(filter(None, map(self._seconds, DENSE)), default=None)

    def _seconds(self, name: str) -> float | None:
        return self.timings[name].seconds if name in self.timings else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Row":
        """The inverse of ``as_dict``."""
        return cls(**{**raw, "timings": {name: Timing(**timing) for name, timing in raw["timings"].items()}})


def measure(
    cell: Cell, names: Sequence[str], runs: int, told: Callable[[str], None], kept: Callable[["Row"], None]
) -> None:
    """Time the contenders ``names`` in turn; ``kept`` gets the row as it stands after each round."""
    for path in (cell.files.source, cell.files.artifact(cell.steps)):
        cell.files.required(path)
    row = described(Row(cell.files.network, cell.batch, cell.steps, cell.device))

    def after(timings: Timings) -> None:
        row.timings = timings
        kept(row)

    peak = partial(peak_memory, device=cell.device)
    race(contenders(cell, names), runs, cell.limit, peak=peak, told=told, kept=after)


def described(row: Row) -> Row:
    """``row`` with the machine's name, threads and versions."""
    import torch

    row.machine, row.threads = machine(row.device), torch.get_num_threads()
    row.tools = {"python": platform.python_version()} | {name: tool for name in _TOOLS if (tool := _version(name))}
    return row


def machine(device: str) -> str:
    """The device's name, as its maker gives it."""
    if device != "cpu":
        import torch

        return str(torch.cuda.get_device_name(device))
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
