"""A picture as the model takes it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from spikec.calibration import InputSpec
from spikec.checking.streams import Scaling
from spikec.errors import UsageError

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's names, by the number of channels


@dataclass(frozen=True)
class Frame:
    """The size of a model's pictures; height and width are None where the model takes any."""

    channels: int
    height: int | None
    width: int | None
    channels_last: bool
    dtype: np.dtype


def frame_of(spec: InputSpec, resize: bool) -> Frame:
    """What pictures the input ``spec`` takes: (N, C, H, W) or (N, H, W, C), with 1, 3 or 4 channels.

    Raises:
        UsageError: it takes none, or no fixed size where they are to be resized.
    """
    shape = spec.shape or ()
    if len(shape) != 4 or not ({shape[1], shape[3]} & set(_MODES)):
        raise UsageError(f"the model's input '{spec.name}' is {spec.describe()}, no picture; give an .npz file")
    if spec.dtype not in (np.float32, np.float64, np.float16, np.uint8):
        raise UsageError(
            f"the model's input '{spec.name}' is {spec.dtype}, which no picture becomes; give an .npz file"
        )
    last = shape[1] not in _MODES
    channels, height, width = (shape[3], shape[1], shape[2]) if last else shape[1:]
    if resize and None in (height, width):
        raise UsageError(f"--resize needs a model of one size; '{spec.name}' is {spec.describe()}")
    assert channels is not None  # one of _MODES
    return Frame(channels, height, width, last, spec.dtype)


def read_image(path: Path, frame: Frame, scaling: Scaling) -> np.ndarray:
    """The picture in ``path``, one sample of the frame's layout and type; uint8 models take it unscaled.

    Raises:
        UsageError: it is none, is damaged, or has another size and ``resize`` was not asked for.
    """
    try:
        with Image.open(path) as file:
            picture = file.convert(_MODES[frame.channels])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} cannot be read as an image: {error}; remove it or write it again") from error
    pixels = np.asarray(_fitted(picture, frame, scaling.resize, path))
    return _laid_out(pixels if pixels.ndim == 3 else pixels[:, :, None], frame, scaling)


def _fitted(picture: Image.Image, frame: Frame, resize: bool, path: Path) -> Image.Image:
    """The picture in the frame's size: its shorter side scaled, the rest of the longer one cut off on both sides."""
    wanted = (frame.width or picture.width, frame.height or picture.height)
    if picture.size == wanted:
        return picture
    if not resize:
        raise UsageError(
            f"{path} is {picture.width} x {picture.height} pixels, the model takes {wanted[0]} x {wanted[1]}; add "
            "--resize to scale and crop"
        )
    scale = max(wanted[0] / picture.width, wanted[1] / picture.height)
    width, height = (max(want, round(have * scale)) for want, have in zip(wanted, picture.size, strict=True))
    left, top = (width - wanted[0]) // 2, (height - wanted[1]) // 2
    scaled = picture.resize((width, height), Image.Resampling.BILINEAR)
    return scaled.crop((left, top, left + wanted[0], top + wanted[1]))


def _laid_out(pixels: np.ndarray, frame: Frame, scaling: Scaling) -> np.ndarray:
    """Pixels (H, W, C) in 0..255 in the frame's type and layout."""
    if frame.dtype != np.uint8:
        mean, std = (np.asarray(values, np.float32) for values in (scaling.mean, scaling.std))
        pixels = ((pixels.astype(np.float32) / 255 - mean) / std).astype(frame.dtype)
    return np.ascontiguousarray(pixels if frame.channels_last else pixels.transpose(2, 0, 1))
