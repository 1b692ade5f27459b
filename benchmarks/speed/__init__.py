"""How long a converted network takes beside T passes of the trained one: ``python -m benchmarks.speed``."""
