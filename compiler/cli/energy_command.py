"""``spikec energy``: what an artifact costs beside the network that it was made from."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikec.cli.arguments import Artifact, Device, Json
from spikec.cli.output import number, print_json, print_table, progress_bar

_HIDE = {"show_default": False}


def energy(
    artifact: Artifact,
    data: Annotated[
        Path, typer.Option("--data", "-d", help="An .npz with one array per input: spikes are counted on it.", **_HIDE)
    ],
    preset: Annotated[
        str, typer.Option(help="Prices: float32, float16, int8, float32-sram or float32-dram (see docs/energy.md).")
    ] = "float32",
    steps: Annotated[int | None, typer.Option("--steps", "-T", help="Time steps; all by default.", **_HIDE)] = None,
    device: Device = "cpu",
    batch_size: Annotated[
        int | None, typer.Option(help="Samples evaluated at once; by default what suits.", min=1, **_HIDE)
    ] = None,
    as_json: Json = False,
) -> None:
    """Count operations per sample and price them: the spiking network, the trained one, and that one quantised."""
    from spikec.ledger import ledger, sentence
    from spikec.ledger.presets import find_preset
    from spikec.runtime import read_manifest, read_model

    prices = find_preset(preset)
    model = read_model(artifact)
    read_manifest(model, artifact)  # a file that is no artifact is called by its name
    with progress_bar(show=not as_json) as bar:
        task = bar.add_task("counting", total=None)
        found = ledger(
            model,
            data,
            steps=steps,
            batch_size=batch_size,
            device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    summary = sentence(found, found.energy(prices))
    if as_json:
        print_json({"artifact": artifact, "preset": prices.name, "summary": summary, **found.as_dict()})
    else:
        _print(found, prices)
        typer.echo(summary)


def _print(found: Any, prices: Any) -> None:
    """Layers, neurons, and the sums in joules; what the spiking network does, it does in all steps."""
    right = ["MACs of the ANN", "events", "accumulates", "if merged", "MACs"]
    title = f"{found.name}: operators, mean of {found.samples} samples, {found.steps} steps"
    print_table(title, ["layer", "operator", "kind", *right], [_layer(layer) for layer in found.layers], right)
    right = ["neurons", "events per step", "evaluations of f", "operations", "states moved"]
    rows = [_neuron(neuron) for neuron in found.neurons]
    print_table(f"{len(rows)} neuron nodes", ["neuron", "f", "kind", *right], rows, right)
    _print_sums(found, prices)


def _print_sums(found: Any, prices: Any) -> None:
    from spikec.ledger import joules

    told = found.energy(prices)
    less = prices.quantised(told.bits)
    right = ["trained network", f"in {told.bits} bits", f"spiking, {found.steps} steps"]
    parts = [("operators", found.layers), ("neurons", found.neurons), ("all else", found.rest)]
    rows = []
    for name, entries in parts:
        works = [sum((getattr(e, of) for e in entries), start=found.ann * 0) for of in ("ann", "ann", "snn")]
        costs = [price.energy(work) for price, work in zip((prices, less, prices), works, strict=True)]
        rows.append([name, *map(joules, costs)])
    rows.append(["in all", *map(joules, (told.ann, told.quantised, told.snn))])
    print_table(f"Energy of one sample, preset {prices.name}: {prices.what}", ["part", *right], rows, right)


def _layer(layer: Any) -> list[str]:
    merged = _count(layer.merged) if layer.spiking else "-"
    return [layer.name, layer.operator, layer.kind, _count(layer.ann.macs), _count(layer.arrivals),
            _count(layer.snn.accumulates), merged, _count(layer.snn.macs)]  # fmt: skip


def _neuron(neuron: Any) -> list[str]:
    moved = neuron.fixed.reads + neuron.fixed.writes
    return [neuron.name, neuron.operator, neuron.kind, _count(neuron.neurons), number(neuron.rate),
            f"{neuron.evaluations} each", _count(neuron.fixed.operations), _count(moved)]  # fmt: skip


def _count(value: float) -> str:
    return f"{value:,.0f}"
