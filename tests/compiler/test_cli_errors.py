"""Wrong command lines, files that are no models, and models that cannot be converted."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.models import tiny

COMPILE = "compile {} -o out.onnx -T 4"
# command line -> what its error names
COMMANDS = {
    "nosuch": ["nosuch"],
    "--wrong": ["--wrong"],
    "compile": ["argument"],
    "compile mlp.onnx": ["--output"],
    "compile mlp.onnx -o out.onnx --stepz 4": ["--stepz"],
    "compile mlp.onnx -o out.onnx extra": ["extra"],
    "run artifact.onnx": ["--input"],
    "run artifact.onnx -i samples.npz --batch-size 0": ["--batch-size"],
    "run artifact.onnx -i samples.npz --backend tensorflow": ["tensorflow", "onnxruntime"],
    "run artifact.onnx -i samples.npz --device tpu": ["tpu", "cuda"],
    "run artifact.onnx -i samples.npz --device cuda:x": ["cuda:x"],
    "run artifact.onnx -i samples.npz --steps abc": ["--steps 'abc'"],
    "run artifact.onnx -i samples.npz --steps 4,": ["--steps '4,'"],
    "run artifact.onnx -i samples.npz --steps 4,99": ["[4, 99]", "1 to 4"],
    "run artifact.onnx -i samples.npz --steps 0": ["[0]", "1 to 4"],
    "plan mlp.onnx --preset odd": ["preset", "odd", "paper"],
}
# options of compile -> what their error names
OPTIONS = {
    "--steps abc": ["--steps"],
    "--steps 1.5": ["--steps"],
    "--steps 0": ["steps is 0", "1 to 4096"],
    "--steps -3": ["steps is -3"],
    "--steps 100000": ["steps is 100000", "1 to 4096"],
    "--preset odd": ["preset", "odd", "paper"],
    "--form odd": ["form", "odd", "unrolled"],
    "--dynamics odd": ["dynamics", "odd", "subgradient"],
    "--coding odd": ["coding", "odd", "spike"],
    "--granularity odd": ["granularity", "odd", "strict"],
    "--ranges odd": ["ranges", "odd", "relu"],
    "--range-per odd": ["range_per", "odd", "channel"],
    "--initial odd": ["initial", "odd", "mean"],
    "--seed odd": ["--seed"],
    "--seed -1": ["seed is -1"],
    "--range-rule odd": ["odd", "percentile:P"],
    "--range-rule percentile:0": ["percentile:0"],
    "--range-rule percentile:101": ["percentile:101"],
    "--range-rule percentile:nan": ["percentile:nan"],
    "--range-rule percentile:": ["percentile:"],
    "--schedule odd": ["schedule", "odd", "geometric"],
    "--schedule constant:size=x": ["size", "'x'"],
    "--schedule constant:size=nan": ["size", "'nan'"],
    "--schedule constant:size=-1": ["constant:size=-1"],
    "--schedule constant:size=1e-60": ["constant:size=1e-60"],
    "--schedule geometric:ratio=0": ["geometric:ratio=0"],
    "--schedule geometric:ratio=1e300": ["geometric:ratio=1e300"],
    "--schedule geometric:reach=1e60": ["geometric:reach=1e60"],
    "--schedule exponential:wrong=3": ["wrong", "start, decay"],
    "--schedule exponential:decay": ["decay"],
    "--schedule inverse:scale=inf": ["inverse:scale=inf"],
    "--dynamics subgradient --coding spike": ["coding", "subgradient"],
    "--dynamics subgradient --initial mean": ["initial", "subgradient"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_command_lines(refused: Callable[..., None], command: str) -> None:
    refused(command, 2, *COMMANDS[command])


@pytest.mark.parametrize("options", OPTIONS)
def test_wrong_options(refused: Callable[..., None], options: str) -> None:
    refused(f"compile mlp.onnx -o out.onnx {options}", 2, *OPTIONS[options])


@pytest.mark.parametrize("command", ["plan {}", COMPILE, "run {} -i samples.npz", "inspect {}"])
def test_files_that_are_not_there(refused: Callable[..., None], folder: Path, command: str) -> None:
    (folder / "sub").mkdir()
    refused(command.format("none.onnx"), 2, "none.onnx", "no file")
    refused(command.format("sub"), 2, "sub is a folder")
    refused(command.format("x" * 5000), 2, "no file")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("The weights are in the other folder.\n" * 20)


def _random(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(4000))


def _npz(path: Path) -> None:
    shutil.copy("samples.npz", path)


@pytest.mark.parametrize("command", ["plan odd", COMPILE.format("odd"), "run odd -i samples.npz", "inspect odd"])
@pytest.mark.parametrize("write", [_empty, _text, _random, _npz])
def test_files_that_are_no_models(
    refused: Callable[..., None], folder: Path, write: Callable[[Path], None], command: str
) -> None:
    write(folder / "odd")
    refused(command, 3, "odd is not an ONNX file")


def test_a_file_without_its_end(refused: Callable[..., None], folder: Path) -> None:
    content = Path("mlp.onnx").read_bytes()
    for length in (1, 2, 3, 20, len(content) // 2, len(content) - 10, len(content) - 1):
        (folder / "cut.onnx").write_bytes(content[:length])
        refused(COMPILE.format("cut.onnx"), 3, "cut.onnx is not an ONNX file, or is cut short")


def test_no_cut_of_a_model_is_taken_for_one(cli: Callable[..., object], folder: Path) -> None:
    content = Path("mlp.onnx").read_bytes()
    for length in range(len(content)):
        (folder / "cut.onnx").write_bytes(content[:length])
        assert cli("plan cut.onnx").code == 3, length


def _refer(folder: Path, location: str) -> None:
    """m/model.onnx, whose weights are said to be at ``location``; the file itself is weights.bin, one folder above."""
    (folder / "m").mkdir()
    path = tiny.save_external(tiny.mlp(), folder / "m" / "model.onnx")
    (folder / "m" / "weights.bin").rename(folder / "weights.bin")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    tiny.save(model, path)


@pytest.mark.parametrize("command", ["plan m/model.onnx", COMPILE.format("m/model.onnx")])
@pytest.mark.parametrize("where", ["absolute", "above", "link"])
def test_external_data_outside_the_folder(refused: Callable[..., None], folder: Path, where: str, command: str) -> None:
    location = {"absolute": f"{folder}/weights.bin", "above": "../weights.bin", "link": "link.bin"}[where]
    _refer(folder, location)
    (folder / "m" / "link.bin").symlink_to(folder / "weights.bin")
    refused(command, 3, "m/model.onnx", "outside the model's folder", "'w1'", location)


@pytest.mark.parametrize("location", ["gone.bin", "sub"])
def test_external_data_that_is_missing(refused: Callable[..., None], folder: Path, location: str) -> None:
    _refer(folder, location)
    (folder / "m" / "sub").mkdir()
    refused(COMPILE.format("m/model.onnx"), 3, f"'{location}' is missing", "m/model.onnx")


def test_external_data_that_is_cut_short(refused: Callable[..., None], folder: Path) -> None:
    tiny.save_external(tiny.mlp(), folder / "model.onnx")
    weights = folder / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:40])
    refused(COMPILE.format("model.onnx"), 3, "external data", "w1")


@pytest.mark.parametrize(("key", "value"), [("length", "many"), ("offset", "-5")])
def test_external_data_with_a_nonsensical_place(
    refused: Callable[..., None], folder: Path, key: str, value: str
) -> None:
    path = tiny.save_external(tiny.mlp(), folder / "model.onnx")
    model = onnx.load(path, load_external_data=False)
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == key).value = value
    tiny.save(model, path)
    refused(COMPILE.format("model.onnx"), 3, "external data", value)


@pytest.mark.parametrize("form", ["loop", "unrolled", "step"])
def test_an_artifact_is_no_model_to_compile(
    refused: Callable[..., None], cli: Callable[..., object], form: str
) -> None:
    assert cli(f"compile mlp.onnx -o done.onnx -T 2 --form {form} --calibration samples.npz").code == 0
    refused(COMPILE.format("done.onnx"), 3, "done.onnx", "that spikec compile wrote")
    refused("plan done.onnx", 3, "done.onnx")


def test_faults_of_the_program_say_so_and_show_where_on_request(
    cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(path: object) -> None:
        raise LookupError("a fault\nof two lines")

    monkeypatch.setattr("spikec.frontends.onnx_file._read", fault)
    told = cli("plan mlp.onnx --json")
    message = "internal error: LookupError: a fault of two lines (set SPIKEC_TRACEBACK=1 to see where, and report it)"
    assert told.code == 4 and told.json == {"error": {"message": message, "exit_code": 4}}
    assert told.err == f"spikec: error: {message}\n"
    monkeypatch.setenv("SPIKEC_TRACEBACK", "1")
    assert "Traceback" in cli("plan mlp.onnx").err
