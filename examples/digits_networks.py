"""The data and the networks of the demo: scikit-learn's digits, a small ConvNeXt and a small MLP-Mixer of timm."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

SIDE = 32  # the digits have 8 x 8 pixels; each is repeated in a 4 x 4 square
CLASSES = 10
BATCH = 64
CALIBRATION = 256
TEST_SHARE = 0.3
SEED = 0

Progress = Callable[[int, int], None]  # told (done, in all)


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, 32, 32) and labels (N,); the calibration images are a part of the training images."""

    train: np.ndarray
    train_labels: np.ndarray
    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray

    def head(self, train: int, calibration: int, test: int) -> "Digits":
        """The first images of each part."""
        parts = self.train[:train], self.train_labels[:train], self.train[: min(calibration, train)]
        return Digits(*parts, self.test[:test], self.labels[:test])


def load() -> Digits:
    """The digits, standardised by the training images' mean and deviation; 30 % of each class are test images."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8).repeat(SIDE // 8, axis=2).repeat(SIDE // 8, axis=3)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_SHARE, stratify=labels, random_state=SEED
    )
    mean, deviation = train.mean(), train.std()
    train, test = ((part - mean) / deviation for part in (train, test))
    train, test = train.astype(np.float32), test.astype(np.float32)
    return Digits(train, train_labels, train[:CALIBRATION], test, test_labels)


def convnext() -> nn.Module:
    """Four stages of one block each, at 8 x 8, 4 x 4, 2 x 2 and 1 x 1 places."""
    from timm.models import ConvNeXt

    return ConvNeXt(
        in_chans=1,
        num_classes=CLASSES,
        depths=(1, 1, 1, 1),
        dims=(16, 32, 48, 64),
        stem_type="overlap",  # patches of four would hold a single pixel of the digit each
        kernel_sizes=3,
        ls_init_value=0.1,
    )


def mixer() -> nn.Module:
    """Four blocks, on 4 x 4 patches of 8 x 8 pixels."""
    from timm.models import MlpMixer

    return MlpMixer(in_chans=1, img_size=SIDE, patch_size=8, embed_dim=64, num_blocks=4, num_classes=CLASSES)


@dataclass(frozen=True)
class Recipe:
    """A network to train: its names in the table and in files, how it is made, and for how many epochs it learns."""

    title: str
    stem: str
    make: Callable[[], nn.Module]
    epochs: int


RECIPES = (Recipe("ConvNeXt", "convnext", convnext, 20), Recipe("MLP-Mixer", "mixer", mixer, 30))


def train(recipe: Recipe, digits: Digits, progress: Progress, epochs: int | None = None) -> nn.Module:
    """A network trained on the training images: AdamW, one cycle of the learning rate with a cosine's shape."""
    torch.manual_seed(SEED)
    network, epochs = recipe.make().train(), epochs or recipe.epochs
    total = epochs * -(-len(digits.train) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=total + 1)
    loss_of = partial(nn.functional.cross_entropy, label_smoothing=0.1)
    batches = (batch for _ in range(epochs) for batch in _epoch(digits))
    for done, (images, labels) in enumerate(batches, start=1):
        optimiser.zero_grad()
        loss_of(network(images), labels).backward()
        optimiser.step()
        schedule.step()
        progress(done, total)
    return network.eval()


def _epoch(digits: Digits) -> Iterator[tuple[Tensor, Tensor]]:
    """The training images once, in random order."""
    images, labels = torch.from_numpy(digits.train), torch.from_numpy(digits.train_labels)
    for chosen in torch.randperm(len(images)).split(BATCH):
        yield _shifted(images[chosen]), labels[chosen]


def _shifted(images: Tensor) -> Tensor:
    """Each image moved by up to one of its 8 x 8 pixels in each direction; what comes in at the edge is its border."""
    unit = SIDE // 8
    padded = nn.functional.pad(images, (unit,) * 4, mode="replicate")
    rows, columns = (unit * torch.randint(0, 3, (len(images), 1)) + torch.arange(SIDE) for _ in range(2))
    batch = torch.arange(len(images))[:, None, None]
    return padded[batch, 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1)
