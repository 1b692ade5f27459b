"""Benchmarks on trained networks. They need the data folder that ``docs/benchmarks.md`` describes."""
