"""How a check runs the two networks."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Settings:
    """What a user can choose of a run; the first four are those of ``spikec.runtime.Session``.

    Attributes:
        provider: of onnxruntime, for the trained network.
        batch_size: samples read and evaluated at once; None: 64, evaluated as suits.
        steps: numbers of steps to look at; None: the artifact's T.
    """

    backend: str = "torch"
    device: str = "cpu"
    precision: str = "float32"
    evaluation: str = "auto"
    provider: str = "CPUExecutionProvider"
    batch_size: int | None = None
    steps: tuple[int, ...] | None = None

    @property
    def index(self) -> int:
        """The number of the CUDA device, 0 where none is named."""
        return int(self.device.partition(":")[2] or 0)

    def on(self, local: int) -> "Settings":
        """For one of several processes on this machine: a CUDA device of its own."""
        return replace(self, device=f"cuda:{local}") if self.device == "cuda" else self
