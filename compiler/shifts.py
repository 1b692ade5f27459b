"""What keeps an opened softmax in the range of float32, measured on a few samples."""

from collections.abc import Mapping

import numpy as np
import onnx

from spikec.errors import ModelError
from spikec.onnx_session import Feeds, run_model, with_outputs
from spikec.passes.open_softmax import Reach, Rows

MOST_APART = 80.0  # exp(-87) is the smallest number that float32 holds in full; other samples may reach farther
NOTHING = 40.0  # exp(-40) is nothing in float32 beside 1, and is so still where other samples lie 20 lower


def measured_reaches(model: onnx.ModelProto, rows: Mapping[str, Rows], feeds: Feeds) -> dict[str, Reach]:
    """For each node in ``rows`` how far its input goes on ``feeds``: its largest finite element (0 where there is
    none), and, if some elements lie under it or masks may, a floor that has no share in the sum of any row.

    Raises:
        ModelError: the maxima of a node's rows lie so far apart that exp cannot hold them with the one shift they need.
    """
    if not rows:
        return {}
    values = run_model(with_outputs(model, [row.tensor for row in rows.values()]), feeds)
    return {name: _reach(name, row, values[row.tensor]) for name, row in rows.items()}


def _reach(name: str, row: Rows, values: np.ndarray) -> Reach:
    maxima = values.max(axis=row.axes)
    finite = maxima[np.isfinite(maxima)]  # a row that is masked as a whole has none
    if finite.size == 0:
        return Reach(0.0, -NOTHING)
    apart = float(np.ptp(finite))
    if row.one_shift and apart > MOST_APART:
        raise ModelError(
            f"node '{name}' ({row.op}): the maxima of its rows lie {apart:.0f} apart, and exponentials with one shift "
            f"for all rows hold {MOST_APART:.0f} in float32; fix the length of its rows, or compile with --granularity "
            "composite"
        )
    floor = float(finite.min()) - NOTHING
    return Reach(float(finite.max()), floor if row.masked or values.min() < floor else None)
