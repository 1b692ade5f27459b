"""The speed benchmark's rows and tables, from timings that are made up."""

import onnx
import pytest

from benchmarks import speed
from benchmarks.speed import __main__ as command
from benchmarks.speed.field import CONTENDERS, DENSE, DENSE_BFLOAT16, LAYERS_BFLOAT16, LAYERS_INT8, usual
from benchmarks.speed.row import Row
from benchmarks.speed.table import load, markdown, save
from spikec.errors import EnvironmentMissing, UsageError
from spikec.timing import Timing
from tests.models.forms import STEPS, compiled


def timing(*seconds, scale=1.0, reason=""):
    return Timing(calls=list(seconds), first=9.0, scale=scale, peak=2**21, reason=reason)


def row(device="cpu"):
    timings = {
        DENSE[0]: timing(0.2, 0.1, 0.3, scale=16),
        DENSE[1]: timing(0.1, 0.1, 0.2, scale=16),
        "layers": timing(2.0, 2.4, 9.9),
        LAYERS_BFLOAT16: timing(1.2),
        DENSE_BFLOAT16: timing(0.05, scale=16),
        "steps": timing(reason="MemoryError: too much"),
    }
    return Row("resnet18", 8, 16, device, timings, machine="a machine", threads=2, tools={"torch": "2"})


def test_ratios_are_to_the_fastest_dense_passes():
    assert row().ratio("layers") == pytest.approx(2.4 / 1.6)
    assert row().ratio(LAYERS_BFLOAT16) == pytest.approx(1.2 / 1.6)
    assert row("cuda").ratio(LAYERS_BFLOAT16) == pytest.approx(1.2 / 0.8), "on CUDA bfloat16 meets its like"
    assert row().ratio("steps") is None


def test_rows_are_kept_and_told(tmp_path):
    path, one = tmp_path / "speed.md", row()
    save(path, {one.key: one}, "the command")
    assert load(path.with_suffix(".json")) == {one.key: one}
    text = markdown([one], "the command")
    assert "2.4 (1.50)" in text
    assert "a machine" in text
    assert "steps: MemoryError: too much" in text
    assert load(tmp_path / "none.json") == {}
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(UsageError, match="no results file"):
        load(tmp_path / "bad.json")


def test_a_row_anew_leaves_the_others(tmp_path, monkeypatch):
    path, other = tmp_path / "speed.md", Row("vit_s", 1, 16, "cpu", {"layers": timing(5.0)}, machine="a machine")
    save(path, {one.key: one for one in (row(), other)}, "the command")
    monkeypatch.setattr(command, "_in_process", lambda options, asked, names: asked)
    asked = ["--network", "resnet18", "--batch", "8", "--steps", "16", "--artifacts", "here", "--output", str(path)]
    assert command.main(asked) == 0
    assert load(path.with_suffix(".json"))[row().key].timings
    assert command.main([*asked, "--anew"]) == 0
    rows = load(path.with_suffix(".json"))
    assert not rows[row().key].timings
    assert rows[other.key] == other


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--network", "lenet"], UsageError.exit_code, "there is no network lenet"),
        (["--contender", "nobody"], UsageError.exit_code, "nobody"),
        (["--row", "resnet18,8,16", "--artifacts", "nowhere"], EnvironmentMissing.exit_code, "there is no"),
    ],
)
def test_what_is_refused(arguments, code, words, capsys, tmp_path):
    assert command.main([*arguments, "--output", str(tmp_path / "speed.md")]) == code
    assert words in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:precision int8")
def test_growth_is_told_for_each_precision(tmp_path, capsys):
    onnx.save(compiled("deep", "loop").model, tmp_path / f"vit_s.T{STEPS}.onnx")
    asked = ["--growth", "vit_s", "--steps", "2", "--steps", str(STEPS), "--runs", "1"]
    output = ["--output", str(tmp_path / "speed.md"), "--artifacts", str(tmp_path), "--batch", "2"]
    assert command.main([*asked, *output]) == 0
    told = (tmp_path / "growth_vit_s_cpu.md").read_text()
    assert told in capsys.readouterr().out
    assert f"| precision | T = 2, s | T = {STEPS}, s | growth |" in told
    for precision in ("float32", "bfloat16", "int8"):
        (line,) = [line for line in told.splitlines() if line.startswith(f"| {precision} ")]
        seconds, more, grown = map(float, line.strip("| ").split(" | ")[1:])
        assert grown == pytest.approx(more / seconds, rel=0.02)


def test_every_contender_has_a_column():
    assert {*DENSE, "layers", LAYERS_BFLOAT16, "steps"} <= set(CONTENDERS)
    assert LAYERS_INT8 in usual("cpu")
    assert LAYERS_INT8 not in usual("cuda")
    assert speed.__doc__
