"""The rules of the house: packages, imports, and what each part may know."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"spikec": "compiler", "spikec.passes": "passes", "spikec.runtime": "runtime"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py"))


def test_every_folder_with_code_is_a_listed_package():
    found = set()
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            inner = path.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *inner)))
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_package_is_marked_as_typed():
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("__init__.py"):
            assert (path.parent / "py.typed").exists(), path.parent


@pytest.mark.parametrize("folder", ["passes", "runtime"])
def test_imports_point_one_way(folder):
    allowed = f"spikec.{folder}"
    for path in (ROOT / folder).rglob("*.py"):
        for name in _imports(path):
            if name == "spikec" or name.startswith("spikec."):
                assert name == allowed or name.startswith(f"{allowed}."), f"{path} imports {name}"


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def test_the_runtime_loads_nothing_of_the_compiler():
    code = "import sys, spikec.runtime; print(sorted(m.split('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("onnx_graphsurgeon", "onnxscript", "timm", "typer", "rich", "torch", "onnxruntime"):
        assert f"'{name}'" not in loaded


def test_an_artifact_runs_where_only_onnxruntime_and_numpy_can_be_imported(tmp_path):
    from spikec import compile as compile_network
    from tests.models.zoo import zoo_input, zoo_model

    x = zoo_input("resmlp", 2)
    expected = compile_network(zoo_model("resmlp"), calibration=x, steps=4)
    path = expected.save(tmp_path / "a.onnx")
    code = f"""
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('spikec', 'onnx', 'torch', 'onnx_graphsurgeon', 'onnxscript', 'timm'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Only())
import numpy as np, onnxruntime as ort
session = ort.InferenceSession({str(path)!r})
(y,) = session.run(None, {{'input': np.zeros({x.shape}, np.float32)}})
assert y.shape == (2, 10) and np.isfinite(y).all()
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path, env=_bare())


def _bare() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 350


def test_nothing_in_the_sources_uses_the_folders_names():
    for path in SOURCES:
        for name in _imports(path):
            assert name.split(".")[0] not in ("compiler", "passes", "runtime"), f"{path} imports {name}"
