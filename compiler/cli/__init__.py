"""The command line: ``spikec plan | compile | run | inspect``."""

from spikec.cli.main import main

__all__ = ["main"]
