"""The command line as a function, in a folder of its own that holds a few small files."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from spikec.cli.main import execute
from tests.models import tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass
class Outcome:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


Run = Callable[[str], Outcome]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mlp.onnx with samples.npz, cnn.onnx with images.npz, and artifact.onnx, made of the first with T = 4."""
    folder = tmp_path_factory.mktemp("prepared")
    tiny.save(tiny.mlp(), folder / "mlp.onnx")
    tiny.save(tiny.cnn(), folder / "cnn.onnx")
    np.savez(folder / "samples.npz", **tiny.samples())
    np.savez(folder / "images.npz", **tiny.images())
    command = f"compile {folder}/mlp.onnx -o {folder}/artifact.onnx -T 4 --calibration {folder}/samples.npz"
    assert execute(command.split()) == 0
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the prepared files; the current folder."""
    for file in prepared.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in the current process."""

    def run(command: str) -> Outcome:
        capsys.readouterr()
        code = execute(command.split())
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(cli: Run, folder: Path) -> Callable[..., None]:
    """Asserts that a command ends with that exit code and one sentence that holds the words, and changes no file."""

    def check(command: str, code: int, *words: str) -> None:
        before = _files(folder)
        plain, documented = cli(command), cli(f"{command} --json")
        assert (plain.code, documented.code) == (code, code), plain.err
        assert plain.out == ""
        assert plain.err.startswith("spikec: error: ") and plain.err.count("\n") == 1, plain.err
        assert not any(word in plain.err for word in ("Traceback", "internal error", "RuntimeWarning"))
        for word in words:
            assert word in plain.err
        message = plain.err.removeprefix("spikec: error: ").removesuffix("\n")
        assert documented.json == {"error": {"message": message, "exit_code": code}}
        assert _files(folder) == before

    return check


def _files(folder: Path) -> dict[str, bytes]:
    """Contents of all files: a refused command leaves nothing behind and takes nothing away."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
