"""Networks of the timm zoo, small enough for tests: random weights, small inputs, exported once a test session."""

import functools

import numpy as np
import onnx

from benchmarks.coverage.random_weights import draw_zero_weights
from spikec.frontends import load_model

# One of each family that the compiler promises, with a side of the square input that its strides allow.
# VGG's first dense layer is a 7x7 convolution of 100 million weights in full size; a narrow one keeps its form.
ZOO: dict[str, str] = {
    "resnet": "timm:resnet18?num_classes=10&input=3x48x48",
    "vgg": "timm:vgg11?num_classes=10&input=3x32x32&mlp_ratio=0.05",
    "convnext": "timm:convnext_atto?num_classes=10&input=3x64x64",
    "mixer": "timm:mixer_s32_224?num_classes=10&img_size=64",
    "resmlp": "timm:resmlp_12_224?num_classes=10&img_size=48",
    "regnet": "timm:regnetx_002?num_classes=10&input=3x64x64",
    "densenet": "timm:densenet121?num_classes=10&input=3x48x48",
    "mobilenetv2": "timm:mobilenetv2_050?num_classes=10&input=3x64x64",
}


@functools.cache
def zoo_model(name: str) -> onnx.ModelProto:
    """The exported network. Weights that timm starts at zero (the MLPs' heads) are drawn: the output would be zero."""
    model = load_model(ZOO[name]).model
    draw_zero_weights(model)
    return model


def zoo_input(name: str, samples: int, seed: int = 0) -> np.ndarray:
    """Standard normal images (samples, 3, side, side)."""
    shape = [dim.dim_value for dim in zoo_model(name).graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(seed).standard_normal((samples, *shape[1:])).astype(np.float32)
