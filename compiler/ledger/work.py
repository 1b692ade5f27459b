"""What is counted: operations and memory accesses, for one sample."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Work:
    """Numbers of operations and accesses for one sample; sums and multiples of it are ``Work`` too.

    Attributes:
        macs: multiply-accumulates.
        accumulates: additions of a weight (or of what passes no weight) to a sum, caused by an event or a value.
        adds: other additions, subtractions, comparisons.
        multiplies: multiplications without a sum.
        specials: exp, sqrt, division and all other functions of one number.
        fetches: factors read for multiply-accumulates and accumulates.
        reads, writes: states, held values and activations, one number each.
    """

    macs: float = 0.0
    accumulates: float = 0.0
    adds: float = 0.0
    multiplies: float = 0.0
    specials: float = 0.0
    fetches: float = 0.0
    reads: float = 0.0
    writes: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    def __mul__(self, factor: float) -> "Work":
        return Work(*(getattr(self, name) * factor for name in NAMES))

    @property
    def operations(self) -> float:
        """Elementwise operations, whatever they cost."""
        return self.adds + self.multiplies + self.specials


NAMES = tuple(field.name for field in fields(Work))
NOTHING = Work()
