"""The README says what the results on file say."""

from pathlib import Path

import pytest

from benchmarks.accuracy.results import load as accuracies
from benchmarks.speed.field import LAYERS, LAYERS_BFLOAT16, LAYERS_INT8
from benchmarks.speed.table import load as times

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {"resnet20": "ResNet-20", "vit": "ViT", "convnext_like": "ConvNeXt-like"}
ROWS = {
    "default": "spikec",
    "spikingjelly-ltb": "SpikingJelly, local threshold balancing",
    "spikingjelly-99.9": "SpikingJelly, rate coding",
    "paper": "the paper's schedule and coding",
}
TIMES = (4, 8, 16, 32)


def line(*cells: object) -> str:
    return f"| {' | '.join(str(cell) if isinstance(cell, str) else f'{cell:.4f}' for cell in cells)} |"


def lines() -> list[str]:
    whole = accuracies(RESULTS / "accuracy_all_images.json")
    beside = accuracies(RESULTS / "accuracy.json")["resnet20"]
    found = [
        line(name, whole[key].accuracy, *(whole[key].rows["default"].points[t].accuracy for t in TIMES))
        for key, name in NAMES.items()
    ]
    found += [line(what, *(beside.rows[row].points[t].accuracy for t in TIMES)) for row, what in ROWS.items()]
    row = times(RESULTS / "speed.json")["cpu", "resnet18", 8, 16]
    jelly = row.timings["SpikingJelly single-step"].seconds / row.timings[LAYERS].seconds
    ratios = [f"{row.ratio(name):.2f}" for name in (LAYERS, LAYERS_BFLOAT16, LAYERS_INT8)]
    return [
        *found,
        f"{ratios[0]} in float32, {ratios[1]} in bfloat16, {ratios[2]} in int8",
        f"{jelly:.1f} times as long",
    ]


@pytest.mark.parametrize("expected", lines())
def test_the_readme_has_the_line(expected: str) -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    assert expected in text, "copy the line into the README's section 'What it reaches'"
