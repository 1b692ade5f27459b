"""The demo at a tiny scale, and what it says where the default preset falls behind."""

import io
import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from rich.console import Console

from examples import digits_demo
from examples.digits_demo import Demo, check, run, table
from examples.digits_measure import Row
from examples.digits_networks import load
from spikec.errors import CheckFailed

ROW = Row("net", "default", 0.98, {4: 0.9, 8: 0.97}, {4: 1.0, 8: 1.0}, [])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Folder, rows and printed text of a demo of one epoch."""
    folder, text = tmp_path_factory.mktemp("demo") / "output", io.StringIO()
    demo = Demo(folder, load().head(train=64, calibration=16, test=20), times=(4, 8), saved=8, epochs=1)
    return folder, run(demo, Console(file=text, width=160)), text.getvalue()


def test_files_are_written(ran):
    folder, _, _ = ran
    nets = [f"{net}{tail}.onnx" for net in ("convnext", "mixer") for tail in ("", "_default_T8", "_paper_T8")]
    assert sorted(p.name for p in folder.iterdir()) == sorted([*nets, "accuracy.png", "results.json"])
    assert (folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    for name in nets:
        onnx.checker.check_model(folder / name)


def test_the_json_holds_the_figures_of_the_rows(ran):
    folder, rows, _ = ran
    raw = json.loads((folder / "results.json").read_text())
    assert raw["images"] == {"train": 64, "calibration": 16, "test": 20}
    assert [(r["network"], r["preset"]) for r in raw["rows"]] == [(r.network, r.preset) for r in rows]
    assert set(raw["rows"][0]["accuracy"]) == {"4", "8"}
    assert set(raw["agreement"]) == {"ConvNeXt", "MLP-Mixer"}
    assert all(share >= 0.95 for share in raw["agreement"].values())


def test_the_table_has_a_line_per_network_and_preset(ran):
    _, rows, text = ran
    assert len(rows) == table(rows, 8).row_count == 4
    assert all(name in text for name in ("ConvNeXt", "MLP-Mixer", "default", "paper", "T=4", "T=8", "spike rate"))


def test_one_point_below_passes_and_more_does_not():
    check([ROW], 8)
    check([replace(ROW, preset="paper", accuracy={8: 0.1})], 8)
    with pytest.raises(CheckFailed, match=r"net: 96\.90 % instead of 98\.00 %"):
        check([ROW, replace(ROW, accuracy={8: 0.969})], 8)


def test_the_exit_code_is_1_where_the_check_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(digits_demo, "run", lambda demo, console: [replace(ROW, accuracy={32: 0.5})])
    assert digits_demo.main(["--output", str(tmp_path)]) == 1
    assert "over 1.0 points below" in capsys.readouterr().err


def test_calibration_images_are_training_images_and_no_test_images():
    digits = load()
    train, test = ({image.tobytes() for image in part} for part in (digits.train, digits.test))
    assert all(image.tobytes() in train for image in digits.calibration)
    assert not any(image.tobytes() in test for image in digits.calibration)
    shares = np.bincount(digits.labels) / (np.bincount(digits.labels) + np.bincount(digits.train_labels))
    assert np.abs(shares - 0.3).max() < 0.01
