"""Situations in which the gate must not open: exit code, what is said, and that every report says it too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from junitparser import Error, Failure, JUnitXml
from PIL import Image

from tests.compiler.checking.conftest import REPORTS
from tests.models import tiny

MLP = "mlp.onnx mlp.spk --data test.npz"
ASKING = f"{MLP} --thresholds t.toml"
HEADS = "heads.onnx heads.spk --data heads.npz --thresholds t.toml"
ODD = "mlp.onnx mlp.spk --data odd.npz"
ODD_PHOTOS = "pictures.onnx pictures.spk --data odd"
PHOTOS = "pictures.onnx pictures.spk --data photos"


def _toml(text: str) -> Callable[[], object]:
    return lambda: Path("t.toml").write_text(text)


def _arrays(**arrays: np.ndarray) -> Callable[[], object]:
    return lambda: np.savez("odd.npz", **arrays)


def _text(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text)


def _cut(name: str) -> None:
    content = Path(name).read_bytes()
    Path("odd.npz").write_bytes(content[:300] + b"\0" * 40 + content[340:])


def _picture(size: tuple[int, int]) -> None:
    Path("odd").mkdir()
    Image.new("RGB", size).save("odd/a.png")


def _damaged_picture() -> None:
    Path("odd").mkdir()
    Path("odd/a.png").write_bytes(b"no picture")


def _nan_at_last() -> None:
    data = tiny.samples(100)
    data["x"][99, 2] = np.nan
    np.savez("odd.npz", **data)


def _labels_beyond() -> None:
    data = tiny.samples(100)
    np.savez("odd.npz", x=data["x"], labels=data["labels"] + 1)


def _other_model() -> None:
    tiny.save(tiny.build(tiny.MLP.replace(" x)", " pixels)").replace("(x,", "(pixels,")), Path("other.onnx"))


def _overflowing() -> None:
    weights = {"w2": np.full((6, 3), 3e38, np.float32), "b2": np.zeros(3, np.float32)}
    tiny.save(tiny.build(tiny.MLP, extra=weights), Path("huge.onnx"))


def _scalar_output() -> None:
    graph = "n (float[N, 6] x) => (float[N, 3] y, float s) { [f] a = Gemm(x, w1, b1) [act] h = Relu(a) "
    graph += "[last] y = Gemm(h, w2, b2) [sum] s = ReduceSum<keepdims = 0>(y) }"
    tiny.save(tiny.build(graph), Path("sum.onnx"))


def _nothing() -> None:
    pass


X = tiny.samples(20)["x"]
# what is wrong -> preparation, arguments, exit code, words of the message
SITUATIONS: dict[str, tuple[Callable[[], object], str, int, list[str]]] = {
    "a threshold missed": (
        _toml("[defaults]\nmax_relative_l2 = 0.0001"),
        ASKING,
        1,
        ["relative_l2 of 'y'", "above max_relative_l2 = 0.0001"],
    ),
    "built-in threshold missed": (
        _nothing,
        "mlp.onnx artifact.onnx --data test.npz",
        1,
        ["agreement of 'y' after 4 steps", "(built in)"],
    ),
    "too many spikes": (_toml("[defaults]\nmax_spike_rate = 0.01"), ASKING, 1, ["spike_rate after 16 steps"]),
    "missing data": (_nothing, "mlp.onnx mlp.spk --data gone.npz", 2, ["no file gone.npz"]),
    "data that is no npz": (_text("odd.npz", "1,2"), ODD, 2, ["not an .npz file"]),
    "damaged data": (lambda: _cut("test.npz"), ODD, 2, ["odd.npz cannot be read"]),
    "pickled data": (_arrays(x=np.array([None, {}], object)), ODD, 2, ["Python objects", "numbers only"]),
    "an input of another name": (_arrays(pixels=X), ODD, 2, ["pixels", "inputs are x"]),
    "another type": (_arrays(x=X.astype(np.float64)), ODD, 2, ["float64", ".astype('float32')"]),
    "another shape": (_arrays(x=X[:, :5]), ODD, 2, ["(20, 5)", "(N, 6)"]),
    "Fortran's order": (_arrays(x=np.asfortranarray(X)), ODD, 2, ["Fortran", "ascontiguousarray"]),
    "NaN in the last sample": (_nan_at_last, ODD, 2, ["'x' holds 1 values", "NaN"]),
    "labels beyond the classes": (_labels_beyond, ODD, 2, ["labels go from 1 to 3", "0 to 2"]),
    "labels of floats": (_arrays(x=X, labels=X[:, 0]), ODD, 2, ["labels must be 20 integers"]),
    "labels beside an npz": (_text("l.csv", "file,label\n"), f"{MLP} --labels l.csv", 2, ["--labels is for a folder"]),
    "scaling of an npz": (_nothing, f"{MLP} --mean 0.5", 2, ["for a folder of images"]),
    "steps beyond T": (_nothing, f"{MLP} --steps 8,32", 2, ["steps 8, 32 asked", "1 to 16"]),
    "steps in words": (_nothing, f"{MLP} --steps many", 2, ["--steps 'many'"]),
    "no threshold at these steps": (_nothing, f"{MLP} --steps 8", 2, ["nothing is checked", "--steps 16"]),
    "an unknown backend": (_nothing, f"{MLP} --backend jax", 2, ["no backend 'jax'"]),
    "an unknown provider": (_nothing, f"{MLP} --provider TPU", 2, ["no provider 'TPU'"]),
    "missing thresholds": (_nothing, f"{MLP} --thresholds gone.toml", 2, ["cannot read gone.toml"]),
    "bad TOML": (_toml("[defaults\n"), ASKING, 2, ["t.toml is not TOML", "line 1"]),
    "an unknown key": (
        _toml("[defaults]\nmin_agreemnt = 0.9"),
        ASKING,
        2,
        ["'min_agreemnt'", "nearest is min_agreement"],
    ),
    "an unknown table": (
        _toml("[default]\nmin_agreement = 0.9"),
        ASKING,
        2,
        ["no table 'default'", "nearest is defaults"],
    ),
    "a key outside of tables": (_toml("min_agreement = 0.9"), ASKING, 2, ["[defaults]"]),
    "per cent": (_toml("[defaults]\nmin_agreement = 99"), ASKING, 2, ["min_agreement is 99", "from 0 to 1"]),
    "a threshold of text": (_toml("[defaults]\nmin_cosine = 'high'"), ASKING, 2, ["write a number"]),
    "steps of a threshold in words": (_toml("[steps.many]\nmin_cosine = 0.9"), ASKING, 2, ["[steps.16]"]),
    "an output that is not there": (
        _toml('[models."mlp.onnx".outputs.z]\nmin_cosine = 0.9'),
        ASKING,
        2,
        ["no output 'z'", "'y'"],
    ),
    "an accuracy without labels": (_toml("[defaults]\nmin_accuracy = 0.9"), HEADS, 2, ["min_accuracy", "no labels"]),
    "R2 of class scores": (
        _toml("[outputs.scores]\nmin_r2 = 0.9"),
        HEADS,
        2,
        ["min_r2 cannot be checked", "of kind regression"],
    ),
    "a kind that does not fit": (
        _toml("[outputs.amount]\nkind = 'classes'\nmin_agreement = 0.9"),
        HEADS,
        2,
        ["'amount'", "(N, classes)"],
    ),
    "an empty thresholds file": (_toml(""), ASKING, 2, ["no threshold", "[defaults]"]),
    "update of nothing": (_nothing, f"{MLP} --update", 2, ["--thresholds"]),
    "loosening without update": (_nothing, f"{MLP} --allow-loosen", 2, ["--update"]),
    "a picture of another size": (lambda: _picture((8, 7)), ODD_PHOTOS, 2, ["8 x 7 pixels", "6 x 6", "--resize"]),
    "a damaged picture": (_damaged_picture, ODD_PHOTOS, 2, ["a.png cannot be read as an image"]),
    "a folder without pictures": (lambda: Path("odd").mkdir(), ODD_PHOTOS, 2, ["holds no images"]),
    "pictures for vectors": (_nothing, "mlp.onnx mlp.spk --data photos", 2, ["'x'", "no picture"]),
    "a CSV of other columns": (
        _text("l.csv", "name,class\na,1\n"),
        f"{PHOTOS} --labels l.csv",
        2,
        ["name, class", "file,label"],
    ),
    "a CSV that names no file": (
        _text("l.csv", "file,label\ngone.png,1\n"),
        f"{PHOTOS} --labels l.csv",
        2,
        ["gone.png", "not in photos"],
    ),
    "a label of text": (_text("l.csv", "file,label\n0/0000.png,cat\n"), f"{PHOTOS} --labels l.csv", 2, ["label 'cat'"]),
    "means for other channels": (_nothing, f"{PHOTOS} --mean 0.1,0.2", 2, ["--mean has 2 numbers", "3 channels"]),
    "a deviation of 0": (_nothing, f"{PHOTOS} --std 0", 2, ["--std 0"]),
    "a missing model": (_nothing, "gone.onnx mlp.spk --data test.npz", 2, ["no file gone.onnx"]),
    "a missing artifact": (_nothing, "mlp.onnx gone.spk --data test.npz", 2, ["no file gone.spk"]),
    "a damaged model": (
        _text("bad.onnx", "no model"),
        "bad.onnx mlp.spk --data test.npz",
        3,
        ["bad.onnx is not an ONNX file"],
    ),
    "a model as artifact": (_nothing, "mlp.onnx mlp.onnx --data test.npz", 3, ["not a spikec artifact"]),
    "another model's artifact": (
        _other_model,
        "other.onnx mlp.spk --data test.npz",
        3,
        ["inputs pixels", "made from another model"],
    ),
    "outputs that are not finite": (
        _overflowing,
        "huge.onnx mlp.spk --data test.npz",
        3,
        ["'y' of the trained network is not finite"],
    ),
    "no GPU": (_nothing, f"{MLP} --device cuda:63", 5, ["CUDA"]),
    "a provider that is not there": (
        _nothing,
        f"{MLP} --provider CoreMLExecutionProvider",
        5,
        ["no CoreMLExecutionProvider"],
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_gate_stays_closed(gate: Callable[[str], Any], situation: str) -> None:
    prepare, arguments, code, words = SITUATIONS[situation]
    prepare()
    outcome = gate(arguments)
    assert outcome.code == code, outcome.out + outcome.err
    command = f"spikec check {arguments} {REPORTS}"
    assert outcome.out.splitlines()[0] == command
    report = outcome.report
    assert (report["exit_code"], report["command"]) == (code, command)
    assert all(word in report["reason"] for word in words), report["reason"]
    assert set(outcome.written) == {".json", ".md", ".xml"} and report["reason"].split(";")[0] in outcome.written[".md"]
    suites = JUnitXml.fromstring(outcome.written[".xml"].encode())
    results = [result for suite in suites for case in suite for result in case.result]
    if code == 1:
        assert report["status"] == "failed" and outcome.err == ""
        assert outcome.out.splitlines()[-1] == f"FAILED: {report['reason']}"
        assert [r.message for r in results if isinstance(r, Failure)] == report["failures"] != []
    else:
        assert report["status"] == "error" and report["measurements"] == []
        assert outcome.err == f"spikec: error: {report['reason']}\n" and "PASSED" not in outcome.out
        assert [r.message for r in results if isinstance(r, Error)] == [report["reason"]]


def test_a_fault_of_the_program_is_told_as_such(gate: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr("spikec.checking.running.judge", broken)
    outcome = gate(MLP)
    assert outcome.code == 4 and "internal error: ZeroDivisionError: by accident" in outcome.report["reason"]
    assert outcome.report["exit_code"] == 4 and "error" in outcome.written[".xml"]


def test_an_output_without_samples_is_refused(gate: Callable[[str], Any], cli: Callable[[str], Any]) -> None:
    _scalar_output()
    assert cli("compile sum.onnx -o sum.spk -T 4 --calibration test.npz").code == 0
    outcome = gate("sum.onnx sum.spk --data test.npz")
    assert outcome.code == 3 and "'s'" in outcome.err and "not one row each" in outcome.err


@pytest.mark.parametrize("option", ["--json", "--junit", "--markdown"])
def test_a_report_over_a_file_that_is_read(cli: Callable[[str], Any], option: str) -> None:
    before = Path("artifact.onnx").read_bytes()
    outcome = cli(f"check mlp.onnx artifact.onnx --data samples.npz {option} artifact.onnx")
    assert outcome.code == 2 and "would be overwritten" in outcome.err
    assert Path("artifact.onnx").read_bytes() == before and onnx.load("artifact.onnx")


def test_reports_that_cannot_be_written_do_not_stop_the_others(cli: Callable[[str], Any]) -> None:
    outcome = cli("check mlp.onnx artifact.onnx --data samples.npz --json gone/r.json --junit r.xml")
    assert outcome.code == 2 and "there is no folder gone" in outcome.err
    assert "there is no folder gone" in Path("r.xml").read_text()


def test_two_reports_in_one_file(cli: Callable[[str], Any]) -> None:
    outcome = cli("check mlp.onnx artifact.onnx --data samples.npz --json r --junit r")
    assert outcome.code == 2 and "same file" in outcome.err
    assert cli("check mlp.onnx artifact.onnx").code == 2
    assert "--data" in cli("check mlp.onnx artifact.onnx").err
