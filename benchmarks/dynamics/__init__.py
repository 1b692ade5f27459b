"""What the settings of the dynamics do, in pictures: ``python -m benchmarks.dynamics``."""
