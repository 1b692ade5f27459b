"""How much of the timm zoo converts: ``python -m benchmarks.coverage``."""
