"""Norms whose rows are uneven, measured on a few samples: what decides the form in which they are opened."""

from collections.abc import Mapping

import numpy as np
import onnx

from spikec.onnx_session import Feeds, run_model, with_outputs
from spikec.passes.norm_rows import NormRows

# The largest square over the least mean square of a row. A neuron's last steps are a hundredth to a thousandth of its
# amplitude, which the largest square is. In a trained ViT the norms inside lie between 22 and 38, and sums of squares
# serve them best, being shallow; in a trained ConvNeXt, with its flat patches of sky, between 117 and 1400, and there
# they lose the image.
EVEN = 64.0


def uneven_norms(model: onnx.ModelProto, norms: Mapping[str, NormRows], feeds: Feeds) -> frozenset[str]:
    """The names of those ``norms`` whose largest square on ``feeds`` is more than ``EVEN`` times the least mean square
    of a row, epsilon included."""
    if not norms:
        return frozenset()
    values = run_model(with_outputs(model, list({rows.tensor: None for rows in norms.values()})), feeds)
    return frozenset(name for name, rows in norms.items() if _unevenness(rows, values[rows.tensor]) > EVEN)


def _unevenness(rows: NormRows, values: np.ndarray) -> float:
    x = values.reshape(len(values), rows.groups, -1) if rows.groups else values
    if rows.centred:
        x = x - x.mean(axis=rows.axes, keepdims=True)
    means = np.square(x, dtype=np.float64).mean(axis=rows.axes) + rows.epsilon
    return float(np.square(x, dtype=np.float64).max(initial=0.0) / means.min(initial=np.inf))
