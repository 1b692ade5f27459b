"""How often the neurons of each layer send an event: ``python -m benchmarks.spike_rates``.

See ``docs/benchmarks.md``.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich import progress as bars

import spikec
from benchmarks.accuracy.networks import CACHE, NETWORKS, Network, Source
from benchmarks.command import exit_code, progress_bar
from benchmarks.datasets import VARIABLE
from spikec.runtime import Session

OUTPUT = Path(__file__).parent / "results" / "spike_rates.md"
STEPS, IMAGES = (8, 16), 200

Rates = dict[str, dict[str, float]]  # layer, or "all" -> number of steps -> share of the slots with an event


def measure(network: Network, source: Source, steps: Sequence[int], progress: bars.Progress) -> Rates:
    """Rates of the default preset at each T, layers in the order of the artifact's neuron table."""
    subject = network.load(source)
    task = progress.add_task(network.title, total=len(steps))
    prepared = spikec.prepare(subject.model, calibration={subject.input: subject.images.calibration})
    rates: Rates = {}
    for t in steps:
        result = Session(prepared.compile(steps=t).model).run(subject.images.test)
        for name, rate in [*((name, count.rate) for name, count in result.spikes.items()), ("all", result.rate)]:
            rates.setdefault(name, {})[str(t)] = rate
        progress.advance(task)
    return rates


def markdown(setup: dict[str, str], networks: dict[str, Rates]) -> str:
    """The whole results file."""
    lines = ["# Spike rates", "", f"Made by `{setup['command']}`; do not edit.", ""]
    lines += [f"- {key}: {value}" for key, value in setup.items() if key != "command"]
    lines += [
        "",
        "Share of the slots (neurons x images x steps) in which a neuron sent an event; binary neurons: 1.",
        "",
    ]
    for title, rates in networks.items():
        steps = list(rates["all"])
        lines += [
            f"## {title}",
            "",
            f"| layer | {' | '.join(f'T = {t}' for t in steps)} |",
            f"|{'---|' * (len(steps) + 1)}",
        ]
        lines += [f"| {name} | {' | '.join(f'{row[t]:.3f}' for t in steps)} |" for name, row in rates.items()]
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and return the exit code."""
    names = [network.name for network in NETWORKS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spike_rates", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network", action="append", choices=names, help="default: resnet20 (may be given several times)"
    )
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help="test images, from the first on")
    parser.add_argument("--data", metavar="FOLDER", help=f"data folder (else ${VARIABLE}, else ../shared/data)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="Markdown file; raw numbers go beside it as .json")
    return exit_code("spike_rates", partial(_benchmark, parser.parse_args(arguments)))


def _benchmark(options: argparse.Namespace) -> None:
    source = Source(options.data, CACHE, options.images, lambda done, total: None)
    asked = options.network or ["resnet20"]
    with progress_bar(bars.MofNCompleteColumn()) as bar:
        chosen = [network for network in NETWORKS if network.name in asked]
        networks = {network.title: measure(network, source, STEPS, bar) for network in chosen}
    setup = {
        "command": " ".join(["python -m benchmarks.spike_rates", *(f"--network {name}" for name in asked)]),
        "test images": f"up to {options.images}",
        "preset": "default",
        "device": f"CPU ({platform.machine()})",
        "with": ", ".join(f"{name} {version(name)}" for name in ("spikec", "torch", "numpy")),
        "date": date.today().isoformat(),
    }
    options.output.with_suffix(".json").write_text(json.dumps({"setup": setup, "rates": networks}, indent=1) + "\n")
    options.output.write_text(markdown(setup, networks))


if __name__ == "__main__":
    sys.exit(main())
