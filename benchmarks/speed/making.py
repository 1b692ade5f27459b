"""Makes the artifacts. The one part of this benchmark that needs the compiler."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.coverage.random_weights import draw_zero_weights
from benchmarks.speed.networks import INPUT, NETWORKS, Files, samples
from spikec.artifact import write_model
from spikec.compilation import prepare
from spikec.frontends import load_model

CALIBRATION = 4  # images
# amplitudes from the largest values alone: how good they are does not change the time
CHEAP = {"range_rule": "max", "correction": 0.0}


def make(folder: Path, network: str, times: Sequence[int], told: Callable[[str], None]) -> None:
    """Write the network's source and an artifact for each T, where they are not there yet."""
    files = Files(folder, network)
    lacking = [steps for steps in times if not files.artifact(steps).is_file()]
    if not lacking and files.source.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    told(f"{network}: converting")
    source = load_model(f"timm:{NETWORKS[network]}?input={'x'.join(map(str, INPUT))}").model
    draw_zero_weights(source)
    prepared = prepare(source, calibration=samples(CALIBRATION, seed=1), **CHEAP)
    for steps in lacking:
        prepared.compile(steps=steps).save(files.artifact(steps))
        told(f"{network}: {files.artifact(steps)}")
    write_model(source, files.source)
