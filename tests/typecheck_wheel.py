"""Builds the wheel, installs it into a folder of its own and type-checks it there: checkers cannot see through the
mapping of folders to packages in the source tree. Run by ``make lint``."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """The exit code of mypy."""
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools would pack files that are gone
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", folder, str(ROOT)], check=True)
        config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
        environment = {**os.environ, "MYPYPATH": folder}
        return subprocess.run(
            [sys.executable, "-m", "mypy", *config, "-p", "spikec"], cwd=folder, env=environment, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
