"""Outputs that cannot be written: whatever stood there stays, and nothing half-written is left."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

COMPILE = "compile mlp.onnx -T 4 --calibration samples.npz -o {}"
RUN = "run artifact.onnx -i samples.npz -o {}"


@pytest.fixture(params=[COMPILE, RUN], ids=["compile", "run"])
def command(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_folder_that_is_not_there(refused: Callable[..., None], command: str) -> None:
    refused(command.format("missing/out"), 2, "missing/out", "no folder missing")


def test_a_file_where_a_folder_should_be(refused: Callable[..., None], command: str) -> None:
    refused(command.format("mlp.onnx/out"), 2, "mlp.onnx/out", "no folder mlp.onnx")


def test_a_folder_in_place_of_a_file(refused: Callable[..., None], folder: Path, command: str) -> None:
    (folder / "sub").mkdir()
    refused(command.format("sub"), 2, "sub is a folder")


def test_a_name_that_is_too_long(refused: Callable[..., None], command: str) -> None:
    refused(command.format("x" * 300), 2, "cannot write", "too long")


def test_a_pipe_is_not_replaced(refused: Callable[..., None], folder: Path, command: str) -> None:
    os.mkfifo(folder / "pipe")
    refused(command.format("pipe"), 2, "pipe", "not a plain file")
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_closed_to_writing(refused: Callable[..., None], folder: Path, command: str) -> None:
    (folder / "closed").mkdir(mode=0o500)
    refused(command.format("closed/out"), 2, "closed/out", "permission denied")


def test_a_folder_said_to_be_closed(
    refused: Callable[..., None], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    refused(command.format("out"), 2, "cannot write out", "permission denied")


@pytest.mark.parametrize(
    "line",
    [
        "compile mlp.onnx -o mlp.onnx",
        "compile mlp.onnx -o ./mlp.onnx",
        "compile mlp.onnx -o link.onnx",
        "compile mlp.onnx -o samples.npz --calibration samples.npz",
        "run artifact.onnx -i samples.npz -o samples.npz",
        "run artifact.onnx -i samples.npz -o artifact.onnx",
    ],
)
def test_no_command_overwrites_what_it_reads(refused: Callable[..., None], folder: Path, line: str) -> None:
    (folder / "link.onnx").symlink_to("mlp.onnx")
    refused(line, 2, "would be overwritten")


def test_a_dump_folder_that_cannot_be_made(refused: Callable[..., None], folder: Path) -> None:
    refused(COMPILE.format("out.onnx") + " --dump mlp.onnx", 2, "the folder mlp.onnx")
    refused(COMPILE.format("out.onnx") + " --dump mlp.onnx/levels", 2, "the folder mlp.onnx/levels")


@pytest.mark.parametrize(
    "options",
    ["-T 0", "--schedule constant:size=-1", "--calibration gone.npz", "--dynamics subgradient --initial mean"],
)
def test_a_failed_compilation_keeps_the_older_artifact(refused: Callable[..., None], options: str) -> None:
    # the fixture compares all files byte by byte, artifact.onnx among them
    refused(f"compile mlp.onnx -o artifact.onnx {options}", 2)


def test_an_unsupported_model_keeps_the_older_artifact(refused: Callable[..., None], folder: Path) -> None:
    (folder / "cut.onnx").write_bytes((folder / "mlp.onnx").read_bytes()[:100])
    refused("compile cut.onnx -o artifact.onnx", 3, "cut.onnx")


@pytest.mark.parametrize("call", ["replace", "chmod"])
def test_interrupted_writing(
    refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch, call: str, folder: Path
) -> None:
    def fail(self: Path, *args: object) -> None:
        raise OSError(28, "No space left on device")

    (folder / "result.npz").write_bytes(b"an older result")
    monkeypatch.setattr(Path, call, fail)
    refused(COMPILE.format("artifact.onnx"), 2, "cannot write artifact.onnx", "No space left on device")
    refused(RUN.format("result.npz"), 2, "cannot write result.npz", "No space left on device")


def test_interruption_by_the_user(cli: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Path, *args: object) -> None:
        raise KeyboardInterrupt

    older, names = (folder / "artifact.onnx").read_bytes(), sorted(folder.iterdir())
    monkeypatch.setattr(Path, "replace", interrupt)
    outcome = cli(COMPILE.format("artifact.onnx") + " --json")
    assert outcome.code == 130 and outcome.json == {"error": {"message": "interrupted", "exit_code": 130}}
    assert (folder / "artifact.onnx").read_bytes() == older and sorted(folder.iterdir()) == names


def test_a_link_is_written_through(cli: Callable[..., object], folder: Path) -> None:
    (folder / "link.onnx").symlink_to("target.onnx")
    assert cli(COMPILE.format("link.onnx")).code == 0
    assert (folder / "link.onnx").is_symlink()
    assert (folder / "target.onnx").read_bytes() == (folder / "artifact.onnx").read_bytes()


def test_files_get_the_rights_that_the_user_gives_to_new_files(cli: Callable[..., object], folder: Path) -> None:
    mask = os.umask(0o027)
    try:
        assert cli(COMPILE.format("out.onnx")).code == 0
    finally:
        os.umask(mask)
    assert stat.S_IMODE((folder / "out.onnx").stat().st_mode) == 0o640
