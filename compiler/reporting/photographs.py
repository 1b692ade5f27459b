"""Samples on which the two networks disagree, as pictures where the input is one."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.checking.tally import Disagreement

SMALLEST = 96  # pixels: smaller pictures are shown larger, each pixel a square
MOST = 160
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Photograph:
    """A disagreement with its picture as a data address, empty where the input is none."""

    found: Disagreement
    address: str


def photographs(disagreements: Sequence[Disagreement]) -> list[Photograph]:
    """Each disagreement with its picture."""
    return [Photograph(found, _address(found.picture)) for found in disagreements]


def _address(picture: np.ndarray | None) -> str:
    """``data:image/png;base64,...`` of (C, H, W) or (H, W, C), stretched from its lowest to its highest value."""
    pixels = None if picture is None else _pixels(np.asarray(picture, np.float64))
    if pixels is None:
        return ""
    from PIL import Image

    image = Image.fromarray(pixels)
    factor = max(1, -(-SMALLEST // max(image.size)))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((MOST, MOST))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _pixels(picture: np.ndarray) -> np.ndarray | None:
    """(H, W) or (H, W, C) in 0..255; None where this is no picture."""
    if picture.ndim == 3 and picture.shape[0] in _MODES and picture.shape[2] not in _MODES:
        picture = np.moveaxis(picture, 0, -1)
    if picture.ndim != 3 or picture.shape[2] not in _MODES:
        return None
    low, high = picture.min(), picture.max()
    scaled = (picture - low) / (high - low if high > low else 1.0) * 255
    return np.asarray(scaled.round().astype(np.uint8).squeeze(2) if picture.shape[2] == 1 else scaled.round(), np.uint8)
