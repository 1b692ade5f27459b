"""The ledger in one sentence."""

from spikec.ledger.totals import Energy, Ledger


def sentence(ledger: Ledger, energy: Energy) -> str:
    """What the spiking network costs beside the trained one, whether that saves energy or not, and under which prices.

    Args:
        ledger: the counts.
        energy: of that ledger, under one preset.
    """
    memory = "memory traffic counted" if energy.preset.with_memory else "memory traffic left out"
    return (
        f"after {ledger.steps} steps the spiking network {_verdict(energy)} under preset {energy.preset.name} "
        f"({memory}); "
        f"it sends {_digits(ledger.rate)} events per neuron and step, and breaks even {_rate(energy.break_even)} with "
        f"the trained network, {_rate(energy.break_even_quantised)} with the quantised one"
    )


def joules(value: float) -> str:
    """An energy in the unit that suits it: ``1.23 uJ``."""
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-12:.3g} pJ"


def _verdict(energy: Energy) -> str:
    quantised = f"{_digits(energy.ratio_quantised)} times the network quantised to {energy.bits} bits"
    saves = [name for name, ratio in (("trained", energy.ratio), ("quantised", energy.ratio_quantised)) if ratio < 1]
    told = f"costs {_digits(energy.ratio)} times the trained network and {quantised}"
    return f"{told}, saving energy against the {' and the '.join(saves)} one" if saves else told


def _rate(rate: float | None) -> str:
    return "at no rate" if rate is None else f"at {_digits(rate)}"


def _digits(value: float) -> str:
    return f"{value:.3g}"
