"""The energy ledger: what an artifact costs, beside the network that it was made from and that network quantised."""

from spikec.ledger.build import ledger
from spikec.ledger.entries import Entry, Layer, NeuronCost
from spikec.ledger.presets import PRESETS, Preset
from spikec.ledger.sentence import joules, sentence
from spikec.ledger.totals import Energy, Ledger
from spikec.ledger.work import Work

__all__ = [
    "PRESETS",
    "Energy",
    "Entry",
    "Layer",
    "Ledger",
    "NeuronCost",
    "Preset",
    "Work",
    "joules",
    "ledger",
    "sentence",
]
