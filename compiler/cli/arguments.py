"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="An ONNX file, timm:NAME?option=value (timm:convnext_atto?num_classes=10), or package.module:factory.",
        show_default=False,
    ),
]
Artifact = Annotated[str, typer.Argument(help="A file that spikec compile wrote.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Backend = Annotated[str, typer.Option(help="torch or onnxruntime.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="float32, float64, bfloat16 or int8 (see docs/runtime.md).")]
Evaluation = Annotated[str, typer.Option(help="auto, layers or steps (see docs/runtime.md).")]
Preset = Annotated[str, typer.Option(help="default, or paper: the configuration of Oh & Lee 2024.")]
Dynamics = Annotated[
    str | None, typer.Option(help="signgd, or subgradient: integrate-and-fire, for ReLU networks.", show_default=False)
]
Quantisation = Annotated[
    str | None,
    typer.Option(
        help="Quantised activations: staircase neurons, or drop: in float, which changes the outputs.",
        show_default=False,
    ),
]
Granularity = Annotated[
    str | None,
    typer.Option(
        help="composite: a neuron may hold a row or window; strict: elementwise neurons only.", show_default=False
    ),
]


def seconds(text: str) -> float:
    """A time span: ``90``, ``90s`` or ``5m`` in seconds.

    Raises:
        UsageError: it is none.
    """
    from spikec.errors import UsageError

    unit = {"s": 1.0, "m": 60.0}.get(text[-1:])
    try:
        return float(text[:-1]) * unit if unit else float(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is no time span; write 90s or 5m") from error
