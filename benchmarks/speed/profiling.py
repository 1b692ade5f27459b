"""Where the time of one run goes: matrix work, the neurons' scans, everything else."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.speed.field import Cell, precisions
from benchmarks.speed.networks import feeds
from spikec.runtime import Session

MATRIX, SCANS, ELSE = "matrix work", "neuron scans", "everything else"
# parts of the names that operators of torch and kernels of its libraries have, in lower case
_MATRIX = ("conv", "mm", "gemm", "linear", "matmul", "cutlass", "cudnn", "xmma", "nvjet", "einsum")
# torch.compile's kernels: on CUDA they have names of their own, on the CPU they are their region's own time
_SCANS = ("triton_", "torch-compiled region", "compiledfxgraph", "cpp_fused")
_SHOWN = 12


def kind_of(name: str) -> str:
    """What an operator or kernel of that name works at."""
    lower = name.lower()
    if lower == "scan" or any(part in lower for part in _SCANS):  # scan: our Triton kernels
        return SCANS
    return MATRIX if any(part in lower for part in _MATRIX) else ELSE


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """The share of each kind, from the seconds that operators take themselves."""
    total = sum(seconds.values())
    found = dict.fromkeys((MATRIX, SCANS, ELSE), 0.0)
    for name, value in seconds.items():
        found[kind_of(name)] += value / total
    return found


def profile(cell: Cell, told: Callable[[str], None]) -> list[str]:
    """The Markdown lines of one network's profiles, one for each precision that the device has."""
    lines = [f"# Profile of {cell.files.network}", ""]
    lines += [
        f"Batch {cell.batch}, T = {cell.steps}, {cell.device}; one run after a first one; self time by torch.profiler."
    ]
    path = cell.files.required(cell.files.artifact(cell.steps))
    for name, precision in precisions(cell.device).items():
        told(name)
        session = Session(path, device=cell.device, precision=precision, evaluation="layers")
        fed = feeds(path, cell.batch)
        session.run(fed, cell.steps, spikes=False)
        seconds = _profiled(lambda session=session, fed=fed: session.run(fed, cell.steps, spikes=False), cell.device)
        lines += ["", f"## {name}", "", *_tables(seconds)]
    return [*lines, ""]


def _profiled(run: Callable[[], Any], device: str) -> dict[str, float]:
    import torch
    from torch.profiler import ProfilerActivity

    cuda = device != "cpu"
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if cuda else [])
    with torch.profiler.profile(activities=activities) as found:
        run()
    return _self_times(found.key_averages(), cuda=cuda)


def _self_times(events: Iterable[Any], *, cuda: bool) -> dict[str, float]:
    """Seconds by name: kernels' time on CUDA, else operators' own time on the CPU."""
    field = "self_device_time_total" if cuda else "self_cpu_time_total"
    on_cuda = (event for event in events if not cuda or "CUDA" in str(event.device_type))
    return {event.key: getattr(event, field) / 1e6 for event in on_cuda if getattr(event, field)}


def _tables(seconds: Mapping[str, float]) -> list[str]:
    total = sum(seconds.values())
    largest = sorted(seconds, key=lambda name: -seconds[name])[:_SHOWN]
    return [
        "| what | share |",
        "|---|---|",
        *(f"| {kind} | {share:.1%} |" for kind, share in shares(seconds).items()),
        "",
        f"{total:.3g} s in all. The largest:",
        "",
        "| operator or kernel | works at | seconds | share |",
        "|---|---|---|---|",
        *(f"| `{n[:80]}` | {kind_of(n)} | {seconds[n]:.3g} | {seconds[n] / total:.1%} |" for n in largest),
    ]
