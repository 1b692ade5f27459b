"""Real data for benchmarks: where the folder is, and its images normalised as each network was trained."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikec.errors import EnvironmentMissing, UsageError

VARIABLE = "SPIKEC_DATA"
CALIBRATION = 256  # samples: the ranges of a convolutional network are stable from about 100 on

# mean and standard deviation of each channel of x/255, by the file name of the network without its ending
NORMALISATION = {
    "cifar10_resnet20": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10_convnext_like": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "cifar10_vit": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}


@dataclass(frozen=True)
class Images:
    """Calibration images (of the training set), and test images with their labels; float32 (N, C, H, W)."""

    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray


def data_folder(path: str | Path | None = None) -> Path:
    """The folder of networks and data: ``path``, else $SPIKEC_DATA, else ``shared/data`` beside the repository.

    Raises:
        EnvironmentMissing: the folder is not there.
    """
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(path or os.environ.get(VARIABLE) or beside)
    if not folder.is_dir():
        raise EnvironmentMissing(
            f"there is no data folder {folder}; name one with --data or in {VARIABLE} (see docs/benchmarks.md)"
        )
    return folder


def required(folder: Path, name: str) -> Path:
    """The file ``name`` of the data folder.

    Raises:
        EnvironmentMissing: it is not there.
    """
    if not (folder / name).is_file():
        raise EnvironmentMissing(f"the data folder {folder} has no {name} (see docs/benchmarks.md)")
    return folder / name


def cifar10(
    folder: Path, network: str = "cifar10_resnet20", *, calibration: int = CALIBRATION, images: int | None = None
) -> Images:
    """CIFAR-10 as ``network`` takes it: the first ``calibration`` training images and the first ``images`` test images.

    Both files are drawn at random over all classes, so that their first images are a fair sample.

    Raises:
        EnvironmentMissing: the data is not there.
        UsageError: the network is unknown, or a count is not between 1 and what there is.
    """
    if network not in NORMALISATION:
        raise UsageError(f"there is no network '{network}' for CIFAR-10; choose one of {', '.join(NORMALISATION)}")
    with np.load(required(folder, "cifar10.npz"), allow_pickle=False) as data:
        chosen = _first(data["calib_x"], calibration, "calibration images")
        test = _first(data["test_x"], images, "test images")
        labels = data["test_y"][: len(test)].astype(np.int64)
    return Images(normalised(chosen, network), normalised(test, network), labels)


def photos(folder: Path, images: int | None = None) -> Images:
    """Photos of ImageNet classes, 128 x 128, scaled to -1..1: all for calibration, the first ``images`` of the others.

    Raises:
        EnvironmentMissing: the data is not there.
    """
    with np.load(required(folder, "photos128.npz"), allow_pickle=False) as data:
        chosen, test, labels = data["calib_x"], data["test_x"][:images], data["test_y"][:images].astype(np.int64)
    scaled = ((pixels.astype(np.float32) - 128) / 128 for pixels in (chosen, test))
    return Images(*scaled, labels)


def normalised(pixels: np.ndarray, network: str) -> np.ndarray:
    """Pixels (N, 3, H, W) in 0..255 as the float32 input of ``network``."""
    mean, deviation = (np.array(values, np.float32)[:, None, None] for values in NORMALISATION[network])
    return np.asarray((pixels.astype(np.float32) / 255 - mean) / deviation, np.float32)


def _first(samples: np.ndarray, count: int | None, what: str) -> np.ndarray:
    if count is not None and not 1 <= count <= len(samples):
        raise UsageError(f"{count} {what} asked; there are 1 to {len(samples)}")
    return samples[:count]
