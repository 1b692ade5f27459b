"""``spikec inspect``: what an artifact says of itself."""

from typing import Any

import typer

from spikec.cli.arguments import Artifact, Json
from spikec.cli.output import number, print_json, print_table, print_warnings


def inspect(artifact: Artifact, as_json: Json = False) -> None:
    """Print an artifact's time steps, schedule, origin, and every neuron's function, range and reach."""
    from spikec.runtime import read_manifest, read_model
    from spikec.runtime.parts import take_apart

    model = read_model(artifact)
    manifest = read_manifest(model, artifact).raw
    take_apart(model)  # refuses a damaged graph
    if as_json:
        print_json(manifest)
        return
    source, tools = manifest["source"], manifest["tools"]
    facts = [
        ["form", manifest["form"]],
        ["time steps", manifest["steps"]],
        ["dynamics", manifest["dynamics"]],
        ["schedule", manifest["schedule"]],
        ["dead zone", manifest["options"]["dead_zone"]],
        ["input coding", manifest["options"]["coding"]],
        ["granularity", manifest["options"]["granularity"]],
        ["source", f"{source['name']} ({source['kind']}), sha256 {source['sha256'][:16]}..."],
        ["calibration", f"{manifest['calibration']['samples']} samples of {manifest['calibration']['origin']}"],
        ["inputs, outputs", f"{', '.join(manifest['inputs'])} -> {', '.join(manifest['outputs'])}"],
        ["made with", ", ".join(f"{name} {tools[name]}" for name in sorted(tools))],
    ]
    print_table(artifact, ["what", "value"], facts)
    corrections = manifest["readout"].get("corrections", [])  # older artifacts do not say
    if corrections:
        spans = [[row["tensor"], _span(row["scale"]), _span(row["offset"])] for row in corrections]
        print_table("affine readout", ["tensor", "scale", "offset"], spans, right=["scale", "offset"])
    columns = ["neuron", "f", "kind", "range", "amplitude", "v(0)", "eta", "reach", "saturates"]
    rows = [_row(neuron, manifest) for neuron in manifest["neurons"]]
    print_table(f"{len(rows)} neuron nodes", columns, rows, right=["range", "amplitude", "v(0)", "reach"])
    print_warnings(manifest["warnings"])
    typer.echo(f"{sum(n['saturates'] for n in manifest['neurons'])} of {len(rows)} neuron nodes saturate")


def _row(neuron: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    return [
        neuron["name"],
        neuron["function"],
        neuron["kind"],
        _span(neuron["range"], always=True),
        _span(neuron["amplitude"]),
        _span(neuron["initial"]),
        f"{number(neuron['eta'][0])} .. {number(neuron['eta'][-1])}",
        number(neuron["reach"]),
        "YES" if neuron["saturates"] else "no",
    ]


def _span(pair: list[float], *, always: bool = False) -> str:
    low, high = pair
    return number(low) if low == high and not always else f"{number(low)} .. {number(high)}"
