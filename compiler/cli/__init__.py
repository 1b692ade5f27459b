"""The command line: ``spikec plan | compile | run | inspect | bench | check``."""

from spikec.cli.main import main

__all__ = ["main"]
