"""What an operation costs, in picojoules.

Arithmetic and memory are the 45 nm figures of M. Horowitz, "Computing's energy problem (and what we can do about it)",
ISSCC 2014: float32 multiply 3.7, add 0.9; float16 multiply 1.1, add 0.4; int8 multiply 0.2, add 0.03; a word of 32 bits
from SRAM of 8 kB 5, of 32 kB 10, of 1 MB 50, from DRAM 640 (the source gives 64 bits: 10, 20, 100, at least 1300).
"""

from dataclasses import dataclass, replace

from spikec.errors import UsageError
from spikec.ledger.work import Work

SPECIAL_MACS = 4  # of exp, sqrt, a division...: a polynomial of the fourth degree by Horner's rule


@dataclass(frozen=True)
class Preset:
    """The price list of one arithmetic, in pJ.

    Attributes:
        bits: of a number.
        multiply, add: of two numbers; a multiply-accumulate is one of each.
        fetch: reading a weight for one operation, without reuse; 0 leaves it out.
        state: reading or writing a state or an activation; 0 leaves it out.
        what: for the eye.
    """

    name: str
    bits: int
    multiply: float
    add: float
    fetch: float = 0.0
    state: float = 0.0
    what: str = ""

    @property
    def mac(self) -> float:
        """A multiply-accumulate."""
        return self.multiply + self.add

    @property
    def with_memory(self) -> bool:
        """Whether memory traffic is counted."""
        return self.fetch > 0 or self.state > 0

    def energy(self, work: Work) -> float:
        """Joules of ``work``."""
        picojoules = (
            self.mac * (work.macs + SPECIAL_MACS * work.specials)
            + self.add * (work.accumulates + work.adds)
            + self.multiply * work.multiplies
            + self.fetch * work.fetches
            + self.state * (work.reads + work.writes)
        )
        return picojoules * 1e-12

    def quantised(self, bits: int) -> "Preset":
        """The same memory with whole numbers of ``bits``: from int8, multiply by its square, add in proportion.

        (That gives 3.2 and 0.12 pJ for 32 bits, where the source has 3.1 and 0.1.) A word is as many bits shorter.
        """
        share, words = bits / INT8.bits, bits / self.bits
        return replace(
            self,
            name=f"int{bits}",
            bits=bits,
            multiply=INT8.multiply * share**2,
            add=INT8.add * share,
            fetch=self.fetch * words,
            state=self.state * words,
        )


INT8 = Preset("int8", 8, 0.2, 0.03, what="arithmetic in whole numbers of 8 bits")
_FLOAT32 = Preset("float32", 32, 3.7, 0.9, what="arithmetic in float32")
PRESETS = {
    preset.name: preset
    for preset in (
        _FLOAT32,
        Preset("float16", 16, 1.1, 0.4, what="arithmetic in float16"),
        INT8,
        replace(_FLOAT32, name="float32-sram", fetch=5.0, state=10.0,
                what="float32; weights in SRAM of 8 kB, states and activations in SRAM of 32 kB"),
        replace(_FLOAT32, name="float32-dram", fetch=50.0, state=640.0,
                what="float32; weights in SRAM of 1 MB, states and activations in DRAM"),
    )
}  # fmt: skip
DEFAULT = "float32"


def find_preset(preset: str | Preset) -> Preset:
    """The preset of that name, or the one given.

    Raises:
        UsageError: there is none of that name.
    """
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}'; choose {', '.join(PRESETS)}")
    return PRESETS[preset]
