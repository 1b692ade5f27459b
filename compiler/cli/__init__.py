"""The command line: ``spikec plan | compile | run | inspect | bench``."""

from spikec.cli.main import main

__all__ = ["main"]
