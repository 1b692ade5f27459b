"""Shifts that keep the exponentials of an opened softmax in the range of float32, measured on a few samples."""

from collections.abc import Mapping

import numpy as np
import onnx

from spikec.errors import ModelError
from spikec.onnx_session import Feeds, run_model, with_outputs
from spikec.passes.open_softmax import Rows

MOST_APART = 80.0  # exp(-87) is the smallest number that float32 holds in full; other samples may reach farther


def measured_shifts(model: onnx.ModelProto, rows: Mapping[str, Rows], feeds: Feeds) -> dict[str, float]:
    """For each node in ``rows`` the largest finite element of its input on ``feeds`` (0 where there is none).

    Raises:
        ModelError: the maxima of a node's rows lie so far apart that exp cannot hold them with one shift.
    """
    if not rows:
        return {}
    values = run_model(with_outputs(model, [row.tensor for row in rows.values()]), feeds)
    return {name: _shift(name, row, values[row.tensor]) for name, row in rows.items()}


def _shift(name: str, row: Rows, values: np.ndarray) -> float:
    maxima = values.max(axis=row.axes)
    finite = maxima[np.isfinite(maxima)]  # a row that is masked as a whole has none
    if finite.size == 0:
        return 0.0
    apart = float(np.ptp(finite))
    if apart > MOST_APART:
        raise ModelError(
            f"node '{name}' ({row.op}): the maxima of its rows lie {apart:.0f} apart, and exponentials with one shift "
            f"for all rows hold {MOST_APART:.0f} in float32; compile with --granularity composite"
        )
    return float(finite.max())
