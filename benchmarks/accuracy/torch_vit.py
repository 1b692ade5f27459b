"""The ViT of CIFAR-10 as a torch module with the weights of an ONNX file, for tools that convert modules only."""

import onnx
import torch
from torch import Tensor, nn

from benchmarks.accuracy.torch_weights import fill, stored_weights

WIDTH, HEADS, HIDDEN, DEPTH, PATCH, TOKENS = 128, 8, 256, 6, 4, 65


class Block(nn.Module):
    """Attention and an MLP with ReLU, each normalised after its residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.relu = nn.ReLU()
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, 65, 128) to tokens."""
        attended, _ = self.attention(x, x, x, need_weights=False)
        x = self.norm1(x + attended)
        result: Tensor = self.norm2(x + self.linear2(self.relu(self.linear1(x))))
        return result


class ViT(nn.Module):
    """Patches of 4 x 4 pixels, a class token, six blocks, and a linear head on the class token."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position = nn.Parameter(torch.zeros(1, TOKENS, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of images (N, 3, 32, 32)."""
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(patches.size(0), -1, -1), patches), dim=1) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(tokens)[:, 0]))
        return logits


def vit(model: onnx.ModelProto) -> ViT:
    """The module with the weights of ``model``, whose layers come in the same order.

    Raises:
        ModelError: the file's layers are not those of this network.
    """
    network = ViT().eval()
    token, position, weight, bias, *others = network.parameters()
    fill([weight, bias, token, position, *others], list(stored_weights(model)), "ViT")
    return network
