"""Which neurons a dynamics can hold."""


def why_not(dynamics: str, function: str) -> tuple[str, str] | None:
    """Why neurons of ``dynamics`` cannot compute ``function`` and what to do instead, or None where they can.

    Integrate-and-fire neurons compute ReLU and nothing else (Oh & Lee 2024: they follow a subgradient of its energy).
    """
    if dynamics != "subgradient" or function in ("Relu", "Identity"):
        return None
    hint = "use average pooling, or " if "MaxPool" in function or function.startswith("Max") else ""
    return (
        "an integrate-and-fire neuron can only be a ReLU, so the subgradient dynamics cannot hold this nonlinearity",
        f"{hint}compile with --dynamics signgd",
    )
