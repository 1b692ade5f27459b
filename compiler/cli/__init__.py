"""The command line: ``spikec plan | compile | run | inspect | explain | bench | check | energy``."""

from spikec.cli.main import main

__all__ = ["main"]
