"""The networks of the benchmark: where each comes from, with its images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import nn

from benchmarks.accuracy.subject import Subject
from benchmarks.accuracy.torch_mobilenet import mobilenet
from benchmarks.accuracy.torch_resnet20 import resnet20
from benchmarks.accuracy.torch_vit import vit
from benchmarks.accuracy.torch_weights import verified
from benchmarks.configuration import Progress
from benchmarks.datasets import Images, cifar10, data_folder, photos, required

CACHE = Path(__file__).parents[2] / "build" / "benchmarks"


@dataclass(frozen=True)
class Source:
    """What networks are loaded with: the data folder (None: found as the documentation says), the cache of networks
    trained here, the largest number of test images (None: all), and who hears of training."""

    data: str | None
    cache: Path
    images: int | None
    progress: Progress


@dataclass(frozen=True)
class Network:
    """A network of the benchmark: its name, its title in the report, and how it is loaded."""

    name: str
    title: str
    load: Callable[[Source], Subject]


def _cifar10(stem: str, make: Callable[[onnx.ModelProto], nn.Module] | None = None) -> Callable[[Source], Subject]:
    """A network of the data folder; ``make`` builds its torch module from the ONNX model."""

    def load(source: Source) -> Subject:
        folder = data_folder(source.data)
        return _subject(folder, stem, cifar10(folder, stem, images=source.images), make)

    return load


def _mobilenet(source: Source) -> Subject:
    folder = data_folder(source.data)
    return _subject(folder, "imagenet_mobilenetv1_025_128", photos(folder, source.images), mobilenet)


def _subject(folder: Path, stem: str, images: Images, make: Callable[[onnx.ModelProto], nn.Module] | None) -> Subject:
    model = onnx.load(required(folder, f"{stem}.onnx"))
    if make is None:
        return Subject.of(model, images)
    return Subject.of(model, images, lambda: verified(make(model), model, images.calibration[:32]))


def _digits(stem: str) -> Callable[[Source], Subject]:
    def load(source: Source) -> Subject:
        from benchmarks.accuracy.digits import trained  # needs the packages of the extra `demo`

        return trained(stem, source.cache, source.images, source.progress)

    return load


NETWORKS = (
    Network("resnet20", "ResNet-20 of CIFAR-10", _cifar10("cifar10_resnet20", resnet20)),
    Network("vit", "ViT of CIFAR-10", _cifar10("cifar10_vit", vit)),
    Network("convnext_like", "ConvNeXt-like network of CIFAR-10", _cifar10("cifar10_convnext_like")),
    Network("mobilenet", "MobileNetV1 0.25 of ImageNet, 128 px", _mobilenet),
    Network("digits-convnext", "ConvNeXt of the digits", _digits("convnext")),
    Network("digits-mixer", "MLP-Mixer of the digits", _digits("mixer")),
)
