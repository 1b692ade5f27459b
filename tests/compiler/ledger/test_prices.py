"""Presets, the quantised competitor, break-even rates and the sentence, on work made up for it."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spikec.errors import UsageError
from spikec.ledger import PRESETS, Layer, Ledger, NeuronCost, Work, joules, sentence
from spikec.ledger.presets import SPECIAL_MACS, find_preset
from spikec.ledger.work import NAMES, NOTHING

AMOUNTS = st.builds(Work, *[st.integers(0, 10**9).map(float)] * len(NAMES))


def made(ann=NOTHING, events=NOTHING, fixed=NOTHING, sent=20.0, steps=8):
    """One layer, and one node of 10 neurons that sends ``sent`` events."""
    neuron = NeuronCost("n", "Relu", "unary", neurons=10, sent=sent, steps=steps)
    return Ledger("net", steps, 3, (Layer("l", "Conv", "weights", ann, events, fixed),), (neuron,), ())


def test_the_figures_of_the_source():
    picojoules = {
        "float32": (4.6, 0.9, 0, 0),
        "float16": (1.5, 0.4, 0, 0),
        "int8": (0.23, 0.03, 0, 0),
        "float32-sram": (4.6, 0.9, 5, 10),
        "float32-dram": (4.6, 0.9, 50, 640),
    }
    found = {name: (p.mac, p.add, p.fetch, p.state) for name, p in PRESETS.items()}
    assert found == {name: pytest.approx(prices) for name, prices in picojoules.items()}
    assert [name for name, preset in PRESETS.items() if preset.with_memory] == ["float32-sram", "float32-dram"]


@given(AMOUNTS)
def test_energy_is_a_sum_of_prices(work):
    preset = PRESETS["float32-sram"]
    expected = 4.6 * work.macs + 0.9 * (work.accumulates + work.adds) + 3.7 * work.multiplies
    expected += 4.6 * SPECIAL_MACS * work.specials + 5 * work.fetches + 10 * (work.reads + work.writes)
    assert preset.energy(work) == pytest.approx(expected * 1e-12)


@given(AMOUNTS, AMOUNTS, st.sampled_from(sorted(PRESETS)))
def test_energy_is_linear(one, other, name):
    energy = PRESETS[name].energy
    assert energy(one + other * 3) == pytest.approx(energy(one) + 3 * energy(other))


def test_whole_numbers_of_any_length():
    eight = PRESETS["float32"].quantised(8)
    assert (eight.multiply, eight.add) == (0.2, 0.03)
    four = PRESETS["float32-sram"].quantised(4)
    assert four.multiply == pytest.approx(0.05) and four.add == pytest.approx(0.015)
    assert four.fetch == pytest.approx(5 / 8) and four.state == pytest.approx(10 / 8)
    wide = PRESETS["int8"].quantised(32)  # the source has 3.1 and 0.1
    assert wide.multiply == pytest.approx(3.1, rel=0.05) and wide.add == pytest.approx(0.1, rel=0.25)


@pytest.mark.parametrize(("steps", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (32, 6), (64, 7)])
def test_bits_tell_as_many_values_apart_as_spikes_can(steps, bits):
    assert made(steps=steps).bits == bits


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from(sorted(PRESETS)), st.integers(1, 80))
def test_break_even_rates_break_even(ann, events, fixed, name, sent):
    ledger = made(ann, events, fixed, sent=float(sent))
    found, prices = ledger.energy(name), PRESETS[name]
    for rate, budget in ((found.break_even, found.ann), (found.break_even_quantised, found.quantised)):
        if rate is None:
            assert prices.energy(fixed) > budget or prices.energy(events) == 0
        else:
            assert prices.energy(ledger.at_rate(rate)) == pytest.approx(budget, rel=1e-9, abs=1e-18)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_the_measured_rate_is_the_ledgers_own(ann, events, fixed):
    ledger = made(ann, events, fixed)
    assume(ledger.rate)
    assert ledger.rate == 20 / 80
    for name in NAMES:
        assert getattr(ledger.at_rate(ledger.rate), name) == pytest.approx(getattr(ledger.snn, name))


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from(sorted(PRESETS)))
def test_nothing_is_called_a_saving_that_is_none(ann, events, fixed, name):
    assume(ann.macs)
    ledger = made(ann, events, fixed)
    found = ledger.energy(name)
    told = sentence(ledger, found)
    assert ("saving energy" in told) == (found.snn < found.ann or found.snn < found.quantised)
    assert f"under preset {name} (memory traffic {'counted' if found.preset.with_memory else 'left out'})" in told
    assert f"costs {found.ratio:.3g} times the trained network" in told


def test_sentences():
    dear = made(Work(macs=100), Work(accumulates=1000), Work(adds=200))
    assert sentence(dear, dear.energy()) == (
        "after 8 steps the spiking network costs 2.35 times the trained network and 166 times the network quantised to "
        "4 bits under preset float32 (memory traffic left out); it sends 0.25 events per neuron and step, and breaks "
        "even at 0.0778 with the trained network, at no rate with the quantised one"
    )
    cheap = made(Work(macs=1000), Work(accumulates=100))
    told = sentence(cheap, cheap.energy())
    assert "0.0196 times the trained network" in told
    assert "saving energy against the trained one under preset float32 (memory traffic left out)" in told


def test_silent_neurons_have_no_break_even_rate():
    silent = made(Work(macs=10), sent=0.0)
    assert silent.energy().break_even is None
    assert silent.at_rate(0.5) == silent.fixed


def test_graded_events_are_no_part_of_the_rate():
    ledger = made()
    graded = replace(ledger, neurons=(*ledger.neurons, replace(ledger.neurons[0], coding="float", sent=80.0)))
    assert graded.rate == ledger.rate


@pytest.mark.parametrize(
    ("value", "told"),
    [(2.5, "2.5 J"), (3e-3, "3 mJ"), (4.56e-6, "4.56 uJ"), (7e-9, "7 nJ"), (1.2e-11, "12 pJ"), (0, "0 pJ")],
)
def test_joules_in_words(value, told):
    assert joules(value) == told


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(
        UsageError, match="no preset 'float8'; choose float32, float16, int8, float32-sram, float32-dram"
    ):
        find_preset("float8")
    own = replace(PRESETS["int8"], add=0.01)
    assert find_preset(own) is own
