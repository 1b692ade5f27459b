"""What to change about a neuron, in one sentence, read off its figures after the last step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikec.explaining.figures import CAUSES, Figures
from spikec.explaining.neurons import StoredNeuron

EXACT = 1e-3  # relative own error that is nothing to change
INHERITS = 2.0  # times the own error: what a neuron inherits from there on is the larger trouble


def advice(neurons: Sequence[StoredNeuron], figures: Figures, options: Mapping[str, Any]) -> dict[str, str]:
    """A sentence by neuron; ``options`` are those of the artifact's manifest."""
    rows = {neuron.name: row for row, neuron in enumerate(neurons)}
    return {neuron.name: _sentence(neuron, rows, figures, options) for neuron in neurons}


def _sentence(neuron: StoredNeuron, rows: Mapping[str, int], figures: Figures, options: Mapping[str, Any]) -> str:
    row = rows[neuron.name]
    own, inherited = figures.own[row, -1], figures.inherited[row, -1]
    misled = own > EXACT and CAUSES[int(figures.causes[row].argmax())] == "misled"
    if not neuron.sources or not (misled or inherited > max(EXACT, INHERITS * own)):
        return _own_part(neuron, row, figures, options)
    worst = max(neuron.sources, key=lambda name: float(np.nan_to_num(figures.distance[rows[name], -1])))
    told = f"inherits {inherited:.2g} and adds {own:.2g}, look at '{worst}' before it first{_one_neuron(options)}"
    return told if misled or own <= EXACT else f"{told}; its own part: {_own_part(neuron, row, figures, options)}"


def _own_part(neuron: StoredNeuron, row: int, figures: Figures, options: Mapping[str, Any]) -> str:
    if figures.own[row, -1] <= EXACT:
        return "nearly exact: nothing to change"
    cause = CAUSES[int(figures.causes[row].argmax())]
    part = f"{100 * figures.causes[row].max():.0f} % of its own squared error"
    if cause == "saturated":
        return f"saturated ({part}), {_more_reach(neuron, options)}"
    if cause == "dead":
        return f"dead ({part}), {_more_events(options)}"
    if cause == "resolution":
        return f"its last step is too coarse ({part}), {_finer(neuron, options)}"
    return f"still on its way after the last step ({part}), {_sooner(neuron, options)}"


def _more_reach(neuron: StoredNeuron, options: Mapping[str, Any]) -> str:
    if options.get("ranges") == "relu" and neuron.function != "Relu":
        return "its amplitude is 1 whatever its range: use --ranges every"
    if neuron.forgets:
        return "give more calibration samples, as it never leaves 0 to its amplitude"
    rule = "" if options.get("range_rule") == "max" else "--range-rule max, "
    return f"give it a larger amplitude ({rule}more calibration samples) or a schedule with more reach"


def _more_events(options: Mapping[str, Any]) -> str:
    finer = "a smaller amplitude" if options.get("range_per") == "channel" else "--range-per channel"
    zone = f"a dead zone below {options.get('dead_zone', 0.5):g}, " if options.get("dead_zone", 0.5) else ""
    return f"use {zone}{finer} or more steps"


def _finer(neuron: StoredNeuron, options: Mapping[str, Any]) -> str:
    if neuron.forgets:
        return "rate coding is this coarse: use more steps or --dynamics signgd"
    finer = "" if options.get("range_per") == "channel" else ", or --range-per channel"
    size = f"{neuron.eta[neuron.eta > 0][-1]:.2g} of its amplitude"
    return f"{size}: use more steps, or a schedule with a smaller ratio{finer}"


def _sooner(neuron: StoredNeuron, options: Mapping[str, Any]) -> str:
    if neuron.graded:
        return "graded events stop short of the input: use more steps, larger step sizes or --coding direct"
    if neuron.forgets or not str(options.get("schedule", "")).startswith("geometric"):
        return f"use more steps{_one_neuron(options)}"
    return f"use more steps, or a larger stagger, which lets it wait for its inputs{_one_neuron(options)}"


def _one_neuron(options: Mapping[str, Any]) -> str:
    """Strict networks have longer chains of neurons to settle."""
    if options.get("granularity") != "strict":
        return ""
    return "; --granularity composite makes one neuron of each norm, softmax and pooling"
