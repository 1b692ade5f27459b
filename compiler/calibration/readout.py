"""Least squares at the network's outputs: a scale and an offset that bring what the SNN says after T steps nearer.

With few steps the sums at the outputs are shrunk and biased. What corrects them is found on the samples of the fit, of
which there may be few. So the scale is drawn towards 1 (a ridge), and whether there is one pair for each channel, one
for the tensor, or none, is decided on samples held back: more numbers must earn more than chance would give them.
"""

from collections.abc import Mapping

import numpy as np
import torch

from spikec.calibration.channels import amplitude_shape
from spikec.calibration.in_time import Course
from spikec.lowering.network import Network, Shape
from spikec.lowering.readout import Affine

ENOUGH = 64  # values of a channel: fewer share one scale and offset with all others
FEWEST = 16  # samples: fewer cannot tell a gain from chance
FOLDS = 4  # parts of the samples, each held back once
DOUBT = 2.0  # standard errors that a gain has to exceed
SPREAD = 0.25  # how far from 1 scales are taken to lie: the strength of the ridge
LEAST, MOST = 0.25, 4.0  # the scale
_CHANNELS = {2: 1, 3: 2, 4: 1}  # rank -> axis
_NOTHING = 1e-12  # of the mean square: less variance than float32 can tell from none


def fit_readout(network: Network, courses: Mapping[str, list[Course]]) -> dict[str, Affine]:
    """Corrections of the tensors that change with time, by name, where there is one that helps.

    Args:
        network: level 3.
        courses: of ``Network.boundary``, one a batch, as ``LayerwiseFit.fit`` returns them.
    """
    fits = {n: _fit(c, _channel_axis(network.shapes.get(n))) for n, c in courses.items() if n in network.timed}
    return {name: affine for name, affine in fits.items() if affine is not None}


def corrected(courses: Mapping[str, list[Course]], corrections: Mapping[str, Affine]) -> dict[str, list[Course]]:
    """``courses`` with what the corrected readout makes of their last step."""
    found = dict(courses)
    for name, affine in corrections.items():
        scale, offset = torch.from_numpy(affine.scale), torch.from_numpy(affine.offset)
        found[name] = [[*course[:-1], course[-1] * scale + offset] for course in courses[name]]
    return found


def _channel_axis(shape: Shape | None) -> int | None:
    axis = None if shape is None else _CHANNELS.get(len(shape))
    return axis if shape is not None and axis is not None and isinstance(shape[axis], int) else None


def _fit(courses: list[Course], axis: int | None) -> Affine | None:
    """The finest correction that earns its numbers."""
    sums = np.concatenate([_sums(course, axis) for course in courses], axis=1)
    if sums.shape[1] < FEWEST or not np.isfinite(sums).all():
        return None
    best, chosen = sums[5].sum(axis=1), None
    for candidate in (sums.sum(axis=2, keepdims=True), sums):
        if not _varies(candidate) or (candidate is sums and sums[0].sum(axis=0).min() < ENOUGH):
            continue
        error = _held_back(candidate)
        gain = best - error
        if gain.mean() > DOUBT * gain.std(ddof=1) / np.sqrt(len(gain)):
            best, chosen = error, candidate
    return None if chosen is None else _affine(chosen, axis if chosen is sums else None, courses[0][0].ndim)


def _sums(course: Course, axis: int | None) -> np.ndarray:
    """(6, samples, C): over each sample's values of a channel, the sums of 1, x, d, x*x, x*d, d*d.

    x is what the SNN says after the last step, d what it lacks to the ANN's value.
    """
    ann, x = (_by_channel(tensor.double(), axis) for tensor in (course[0], course[-1]))
    d = ann - x
    return torch.stack([p.sum(1) for p in (torch.ones_like(x), x, d, x * x, x * d, d * d)]).numpy()


def _by_channel(tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
    """(samples, values of a channel, C); without an axis C is 1."""
    samples = len(tensor) if tensor.ndim else 1
    if axis is None:
        return tensor.reshape(samples, -1, 1)
    return tensor.movedim(axis, -1).reshape(samples, -1, tensor.shape[axis])


def _varies(sums: np.ndarray) -> bool:
    n, x, _, xx, _, _ = sums.sum(axis=1)
    return bool(np.any(xx - x * x / n > _NOTHING * xx))


def _solve(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u and b, (C,), of least squares d = u*x + b with a ridge on u, from sums (6, C).

    u is drawn the more towards 0, the more of d it leaves unexplained. It lies between 0 and the least squares' own u,
    so that the correction is never worse than none on the samples it comes from.
    """
    n, x, d, xx, xd, dd = sums
    varies = xx - x * x / n > _NOTHING * xx
    variance, common = np.where(varies, xx - x * x / n, 1), np.where(varies, xd - x * d / n, 0)
    left = np.maximum(dd - d * d / n - common**2 / variance, 0) / np.maximum(n - 2, 1)
    u = np.clip(common / (variance + left / SPREAD**2), LEAST - 1, MOST - 1)
    return u, (d - u * x) / n


def _error(sums: np.ndarray, u: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum of (d - u*x - b)^2."""
    n, x, d, xx, xd, dd = sums
    return np.asarray(dd - 2 * u * xd - 2 * b * d + u * u * xx + 2 * u * b * x + n * b * b)


def _held_back(sums: np.ndarray) -> np.ndarray:
    """(samples,): each one's squared error when its part is held back from the fit."""
    part = np.arange(sums.shape[1]) % FOLDS
    error = np.zeros(sums.shape[1])
    for held in (part == fold for fold in range(FOLDS)):
        error[held] = _error(sums[:, held], *_solve(sums[:, ~held].sum(axis=1))).sum(axis=1)
    return error


def _affine(sums: np.ndarray, axis: int | None, rank: int) -> Affine:
    u, b = _solve(sums.sum(axis=1))
    shape = () if axis is None else amplitude_shape(axis, rank, len(u))
    return Affine((1 + u).reshape(shape).astype(np.float32), b.reshape(shape).astype(np.float32))
