"""The report: one HTML page that says how good a conversion is, and where its error comes from."""

from spikec.reporting.content import Content, gather
from spikec.reporting.page import render

__all__ = ["Content", "gather", "render"]
