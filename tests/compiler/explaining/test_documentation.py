"""The example of docs/explain.md is what the command prints, and the advice that it ends with helps."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.models import tiny
from tests.models.networks import network

DOCUMENT = Path(__file__).parents[3] / "docs" / "explain.md"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
EXPLAIN = "explain deep.onnx snn.onnx --data test.npz"


@pytest.fixture
def explained(cli):
    """What is printed of the network of the example, compiled with these ranges."""
    case = network("deep")
    tiny.save(case.model, Path("deep.onnx"))
    np.savez("calibration.npz", **case.feeds(256, seed=50))
    np.savez("test.npz", **case.feeds(64, seed=70))

    def explain(ranges, options=""):
        assert cli(f"compile deep.onnx -o snn.onnx -T 16 --ranges {ranges} --calibration calibration.npz").code == 0
        return cli(f"{EXPLAIN} {options}")

    return explain


def words_and_numbers(text):
    """The words, the percentages and the other numbers: last digits and table widths differ between machines."""
    words = re.sub(r"[━─┏┓┗┛┡┩└┘┳┻╇┴┃│\s]+", " ", NUMBER.sub("#", text)).split()
    percents, others = [], []
    for match in NUMBER.finditer(text):
        (percents if text[match.end() :].startswith(" %") else others).append(float(match[0]))
    return words, percents, others


def test_the_example_is_what_the_command_prints(explained):
    (shown,) = re.findall(r"reprints this -->\n```\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    words, percents, others = words_and_numbers(shown)
    found_words, found_percents, found_others = words_and_numbers(explained("relu").out)
    assert found_words == words and len(percents) > 12 and len(others) > 12
    np.testing.assert_allclose(found_percents, percents, atol=1)
    np.testing.assert_allclose(found_others, others, rtol=0.02)


def test_the_advice_of_the_example_helps(explained):
    before, after = (explained(ranges, "--json").json["outputs"]["y"][-1] for ranges in ("relu", "every"))
    said = re.search(r"the outputs end ([\d.]+) from the model's", DOCUMENT.read_text())
    assert said and after == pytest.approx(float(said[1]), abs=0.001)
    assert after < before / 2


def test_the_document_names_every_figure_cause_and_option():
    from spikec.explaining.explanation import OVER_TIME
    from spikec.explaining.figures import CAUSES

    text = DOCUMENT.read_text()
    for word in (*OVER_TIME, *CAUSES, "share", "--json", "--csv", "--top"):
        assert f"`{word}" in text, word
