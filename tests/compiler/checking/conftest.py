"""Small networks with artifacts, samples and pictures for the gate to look at."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikec.cli.main import execute
from tests.models import tiny

REPORTS = "--json r.json --junit r.xml --markdown r.md"
# class scores, a regression and an embedding of the same hidden layer
HEADS = """heads (float[N, 6] x) => (float[N, 8] scores, float[N, 1] amount, float[N, 5] vector) {
  [first] a = Gemm(x, w1, b1) [act] h = Relu(a)
  [one] scores = MatMul(h, s1) [two] amount = MatMul(h, s2) [three] vector = MatMul(h, s3)
}"""
PICTURES = tiny.CNN.replace("2, 6, 6] image", "3, 6, 6] image")


def heads() -> Any:
    generator = np.random.default_rng(3)
    sizes = {"s1": 8, "s2": 1, "s3": 5}
    extra = {name: generator.standard_normal((6, size)).astype(np.float32) for name, size in sizes.items()}
    return tiny.build(HEADS, extra=extra)


def pictures() -> Any:
    kernel = np.random.default_rng(4).standard_normal((4, 3, 3, 3)).astype(np.float32)
    return tiny.build(PICTURES, extra={"k1": kernel})


def write_pictures(folder: Path, count: int, *, size: tuple[int, int] = (6, 6), classes: int = 3) -> None:
    """``count`` random PNG files in sub-folders 0, 1, ..."""
    generator = np.random.default_rng(5)
    for number in range(count):
        inner = folder / str(number % classes)
        inner.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(inner / f"{number:04}.png")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with artifacts of T = 16: mlp (test.npz), heads (heads.npz), pictures (the folder photos)."""
    folder = tmp_path_factory.mktemp("made")
    data = tiny.samples(150, seed=1)
    np.savez(folder / "test.npz", **data)
    np.savez(folder / "heads.npz", x=data["x"])
    write_pictures(folder / "photos", 12)
    generator = np.random.default_rng(6)
    np.savez(folder / "calibration.npz", image=generator.random((64, 3, 6, 6), np.float32))
    for name, model, samples in (
        ("mlp", tiny.mlp(), "test"),
        ("heads", heads(), "heads"),
        ("pictures", pictures(), "calibration"),
    ):
        tiny.save(model, folder / f"{name}.onnx")
        command = f"compile {folder}/{name}.onnx -o {folder}/{name}.spk -T 16 --calibration {folder}/{samples}.npz"
        assert execute(command.split()) == 0
    return folder


@pytest.fixture
def gate(made: Path, folder: Path, cli: Callable[[str], Any]) -> Callable[[str], Any]:
    """Runs ``spikec check ARGUMENTS`` in a folder with copies of those files; all reports go to r.*."""
    shutil.copytree(made, folder, dirs_exist_ok=True)

    def run(arguments: str) -> Any:
        outcome = cli(f"check {arguments} {REPORTS}")
        written = {path.suffix: path.read_text() for path in sorted(folder.glob("r.*"))}
        report = json.loads(written[".json"]) if ".json" in written else None
        return SimpleNamespace(code=outcome.code, out=outcome.out, err=outcome.err, written=written, report=report)

    return run


def value_of(report: dict[str, Any], metric: str, output: str | None = None, steps: int | None = None) -> Any:
    """The one measurement of that metric."""
    (row,) = [
        row
        for row in report["measurements"]
        if row["metric"] == metric and output in (None, row["output"]) and steps in (None, row["steps"])
    ]
    return row
