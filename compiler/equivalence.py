"""Is it still the same network? Outputs of two models on the same inputs."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from spikec.errors import InternalError, ModelError
from spikec.onnx_session import Feeds, open_session, run_session

TOLERANCE = 1e-4  # relative L2 distance in float32


def relative_distance(value: np.ndarray, reference: np.ndarray) -> float:
    """|value - reference| / |reference| in the Euclidean norm (absolute where the reference is zero)."""
    reference64, value64 = np.asarray(reference, np.float64), np.asarray(value, np.float64)
    distance = float(np.linalg.norm((value64 - reference64).ravel()))
    norm = float(np.linalg.norm(reference64.ravel()))
    return distance / norm if norm > 0 else distance


class EquivalenceCheck:
    """Compares the outputs of rewritten models with those of the source, after every pass.

    Args:
        source: the model that the others have to equal.
        feeds: a few samples.
        tolerance: largest relative L2 distance.
        as_written: run every model node by node, so that the same sums are made in the same order.
        read: what to make of every model before it runs, the source included.
    """

    def __init__(
        self,
        source: onnx.ModelProto,
        feeds: Feeds,
        tolerance: float = TOLERANCE,
        *,
        as_written: bool = False,
        read: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
    ) -> None:
        self.feeds, self.tolerance, self.as_written, self.read = feeds, tolerance, as_written, read
        self.reference = self._run(source)
        for name, value in self.reference.items():
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                raise ModelError(
                    f"the model's output '{name}' is not finite on the given inputs; check the data's scale"
                )

    def __call__(self, model: onnx.ModelProto, step: str) -> float:
        """The largest distance of any output from the source's.

        Raises:
            InternalError: it is above the tolerance; ``step`` is the rewrite that is to blame.
        """
        worst = self.distance(model)
        if not worst <= self.tolerance:
            raise InternalError(
                f"{step} changed the network's outputs (relative distance {worst:.2g}, allowed {self.tolerance:.0e}); "
                "please report this with the model"
            )
        return worst

    def distance(self, model: onnx.ModelProto) -> float:
        """As above, whatever it is."""
        values = self._run(model, list(self.reference))
        return max((_distance(values[name], self.reference[name]) for name in self.reference), default=0.0)

    def _run(self, model: onnx.ModelProto, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        return run_session(open_session(self.read(model), as_written=self.as_written), self.feeds, outputs)


def _distance(value: np.ndarray, reference: np.ndarray) -> float:
    if value.shape != reference.shape:
        return float("inf")
    if np.issubdtype(reference.dtype, np.floating):
        distance = relative_distance(value, reference)
        return distance if np.isfinite(distance) else float("inf")  # NaN would lose every comparison
    # selections (ArgMax, TopK) may flip on ties: distance 1e-4 corresponds to 1 % of the entries
    return float(np.mean(value != reference)) * 1e-2 if reference.size else 0.0
