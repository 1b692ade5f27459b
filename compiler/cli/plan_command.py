"""``spikec plan``: what will become of every node."""

from collections import Counter

import typer

from spikec.cli.arguments import Dynamics, Granularity, Json, Model, Preset, Quantisation
from spikec.cli.output import print_json, print_table

UNSUPPORTED = 3
SIZES = ("per sample", "state")


def plan(
    model: Model,
    preset: Preset = "default",
    dynamics: Dynamics = None,
    granularity: Granularity = None,
    quantisation: Quantisation = None,
    as_json: Json = False,
) -> int:
    """Say what becomes of every node: linear, neuron, readout, constant, or unsupported with the reason.

    Exit code 3 if a node is unsupported.
    """
    from spikec.fates import FATES
    from spikec.planning import plan as make_plan

    result = make_plan(model, preset=preset, dynamics=dynamics, granularity=granularity, quantisation=quantisation)
    if as_json:
        print_json(result.as_dict())
        return UNSUPPORTED if result.unsupported else 0
    print_table(
        "Nodes", ["node", "operator", "becomes", "how"], [[n.name, n.op, n.fate, n.detail] for n in result.nodes]
    )
    rows = [
        [r["name"], r["kind"], r["function"], _count(r["per_sample"]), _memory(r["state_bytes"])]
        for r in result.neurons
    ]
    print_table("Neurons", ["neuron", "kind", "f", *SIZES], rows, right=SIZES)
    counts = Counter(node.fate for node in result.nodes)
    typer.echo(", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate]))
    typer.echo(f"{len(result.neurons)} neuron nodes, {_total(result.neurons)} neurons per sample")
    typer.echo(f"state memory per sample: {_memory(result.state_bytes)}")
    for node in result.unsupported:
        typer.echo(f"unsupported: node '{node.name}' ({node.op}): {node.detail}")
    return UNSUPPORTED if result.unsupported else 0


def _count(size: int | None) -> str:
    return "?" if size is None else f"{size:,}"


def _memory(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"


def _total(rows: list[dict[str, int | None]]) -> str:
    known = sum(row["per_sample"] or 0 for row in rows)
    return f"{known:,}" + (" and more of unknown shape" if any(row["per_sample"] is None for row in rows) else "")
