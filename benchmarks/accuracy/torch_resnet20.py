"""ResNet-20 of CIFAR-10 as a torch module with the weights of an ONNX file, for tools that convert modules only."""

from itertools import pairwise

import onnx
import torch
from torch import Tensor, nn

from benchmarks.accuracy.torch_weights import fill, stored_weights

WIDTHS = (16, 32, 64)
BLOCKS = 3  # a width


def subsample(channels: int, wider: int) -> nn.Conv2d:
    """The shortcut without weights of its own (option A): every second pixel, zero channels before and behind.

    A plain 1x1 convolution by a constant 0/1 matrix, because converters of modules know no slices and no padding.
    """
    shortcut = nn.Conv2d(channels, wider, 1, stride=2, bias=False)
    before = (wider - channels) // 2
    placed = torch.zeros_like(shortcut.weight)
    placed[range(before, before + channels), range(channels)] = 1
    shortcut.weight = nn.Parameter(placed, requires_grad=False)
    return shortcut


class Block(nn.Module):
    """Two convolutions and a shortcut; each ReLU is a module of its own, for each becomes a neuron of its own."""

    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        widens = wider != channels
        self.conv1 = nn.Conv2d(channels, wider, 3, stride=2 if widens else 1, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(wider, wider, 3, padding=1)
        self.shortcut = subsample(channels, wider) if widens else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for its input."""
        inner = self.conv2(self.relu1(self.conv1(x)))
        result: Tensor = self.relu2(self.shortcut(x) + inner)
        return result


class ResNet20(nn.Module):
    """ResNet-20 with its batch normalisations folded into the convolutions."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1)
        self.relu = nn.ReLU()
        befores = [WIDTHS[0], *(width for width in WIDTHS for _ in range(BLOCKS))]
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(befores)))
        self.pool = nn.AvgPool2d(8)
        self.flatten = nn.Flatten(1)
        self.linear = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, 32, 32)."""
        features = self.blocks(self.relu(self.conv1(x)))
        logits: Tensor = self.linear(self.flatten(self.pool(features)))
        return logits


def resnet20(model: onnx.ModelProto) -> ResNet20:
    """The module with the weights of ``model``, whose layers come in the same order.

    Raises:
        ModelError: the file's layers are not those of this network.
    """
    network = ResNet20().eval()
    named = [(name, m) for name, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    layers = [module for name, module in named if not name.endswith(".shortcut")]
    parameters = [p for layer in layers for p in layer.parameters()]
    fill(parameters, list(stored_weights(model)), "ResNet-20")
    return network
