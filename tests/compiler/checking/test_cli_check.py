"""The command line of the gate on pictures, and what it shows while it works."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from rich.console import Console

from spikec.cli import check_output, output
from spikec.cli.check_command import alone, scaling_of
from spikec.cli.main import execute
from spikec.errors import ModelError, UsageError
from tests.compiler.checking.conftest import value_of, write_pictures

PHOTOS = "pictures.onnx pictures.spk --data photos"


def _classes(files: list[Path], mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    pixels = np.stack([np.asarray(Image.open(file), np.float32).transpose(2, 0, 1) for file in files])
    session = onnxruntime.InferenceSession("pictures.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"image": ((pixels / 255 - mean) / std).astype(np.float32)})[0].argmax(axis=1)


def test_sub_folders_give_the_labels(gate: Callable[[str], Any]) -> None:
    report = gate(PHOTOS).report
    files = sorted(Path("photos").rglob("*.png"))
    expected = np.mean(_classes(files) == [int(file.parent.name) for file in files])
    assert report["data"] == {"origin": "photos", "samples": 12, "labels": True}
    assert value_of(report, "ann_accuracy")["value"] == expected


def test_scaling_reaches_the_network(gate: Callable[[str], Any]) -> None:
    files = sorted(Path("photos").rglob("*.png"))
    labels = [int(file.parent.name) for file in files]
    report = gate(f"{PHOTOS} --mean 0.5,0.5,0.5 --std 0.25 --thresholds lax.toml").report
    assert report["status"] == "error", "the file is not there"
    Path("lax.toml").write_text("[defaults]\nmin_agreement = 0\n")
    report = gate(f"{PHOTOS} --mean 0.5,0.5,0.5 --std 0.25 --thresholds lax.toml").report
    assert value_of(report, "ann_accuracy")["value"] == np.mean(_classes(files, 0.5, 0.25) == labels)


def test_a_csv_of_labels(gate: Callable[[str], Any]) -> None:
    files = sorted(Path("photos").rglob("*.png"))[:5]
    right = _classes(files)
    with open("l.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [["file", "label"], *([f.relative_to("photos"), c] for f, c in zip(files, right, strict=True))]
        )
    outcome = gate(f"{PHOTOS} --labels l.csv")
    assert value_of(outcome.report, "ann_accuracy")["value"] == 1
    assert outcome.report["data"]["samples"] == 5
    assert "7 images of photos are not in l.csv" in outcome.err


def test_pictures_are_resized_where_that_is_asked(gate: Callable[[str], Any]) -> None:
    write_pictures(Path("large"), 6, size=(20, 14))
    command = "pictures.onnx pictures.spk --data large"
    assert gate(command).code == 2
    report = gate(f"{command} --resize").report
    assert report["status"] in ("passed", "failed") and report["data"]["samples"] == 6


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_the_batch_does_not_matter(gate: Callable[[str], Any], size: int) -> None:
    plain, cut = gate(PHOTOS).report, gate(f"{PHOTOS} --batch-size {size}").report
    for name in ("agreement", "accuracy", "ann_accuracy"):
        assert value_of(plain, name) == value_of(cut, name)
    distance = value_of(plain, "relative_l2")["value"]
    assert value_of(cut, "relative_l2")["value"] == pytest.approx(distance, rel=0.1)  # a rounded sum may move a spike


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [("a", "1", "--mean 'a'"), ("0,nan", "1", "--mean '0,nan'"), ("0", "", "--std ''"), ("0", "1,0", "holds a 0")],
)
def test_scaling_that_means_nothing(mean: str, std: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        scaling_of(False, mean, std)


def test_the_bar_shows_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=120, record=True)
    monkeypatch.setattr(output, "STDERR", console)
    with check_output.check_progress(show=True) as told:
        told(0, 100)
        told(40, 100)
    shown = console.export_text()
    assert "checking" in shown and "40/100" in shown and shown.count(":") >= 3


def test_processes_that_do_not_speak_keep_their_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception) as caught, alone(speaks=False):
        print("quiet")
        raise ModelError("nobody hears this")
    assert caught.value.exit_code == 3 and type(caught.value).__name__ == "Exit"
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ModelError), alone(speaks=True):
        raise ModelError("everybody hears this")


def test_words_with_spaces_are_shown_as_typed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test set.npz").symlink_to(made / "test.npz")
    assert execute(["check", str(made / "mlp.onnx"), str(made / "mlp.spk"), "--data", "test set.npz"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"spikec check {made}/mlp.onnx {made}/mlp.spk --data 'test set.npz'"


@pytest.mark.parametrize("command", ["check", "check mlp.onnx", "check mlp.onnx artifact.onnx --data"])
def test_an_incomplete_command(cli: Callable[[str], Any], command: str) -> None:
    outcome = cli(command)
    assert outcome.code == 2 and outcome.out == "" and outcome.err.startswith("spikec: error: ")


def test_ctrl_c_is_told_in_the_reports(gate: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spikec.checking.gate.run_check", interrupted)
    outcome = gate(PHOTOS)
    assert (outcome.code, outcome.report["exit_code"], outcome.report["reason"]) == (130, 130, "interrupted")
