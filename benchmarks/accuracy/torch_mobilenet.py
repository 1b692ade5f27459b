"""A plain chain of convolutions and ReLU6 as a torch module with the weights of an ONNX file (MobileNetV1)."""

from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from spikec.errors import ModelError


def mobilenet(model: onnx.ModelProto) -> nn.Sequential:
    """The module with the layers of ``model``, each fed by the one before it.

    Raises:
        ModelError: the file has other operators than MobileNetV1.
    """
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    unknown = {node.op_type for node in model.graph.node} - set(_LAYERS)
    if unknown:
        raise ModelError(f"the ONNX file is not this MobileNet: it has {', '.join(sorted(unknown))}")
    return nn.Sequential(*(_LAYERS[n.op_type](n, [stored[i] for i in n.input[1:]]) for n in model.graph.node)).eval()


def _convolution(node: onnx.NodeProto, arrays: list[np.ndarray]) -> nn.Conv2d:
    """A convolution that pads on all sides alike, for converters that know no padding as a layer of its own.

    Where the file pads by one on the right and at the bottom only, the kernel gets a first row and column of zeros that
    meet the padding on the other sides.
    """
    weight, bias = arrays
    attributes = {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}
    top, left, bottom, right = attributes["pads"]
    weight = np.pad(weight, ((0, 0), (0, 0), (bottom - top, 0), (right - left, 0)))
    out, per_group, height, width = weight.shape
    group = attributes.get("group", 1)
    strides, padding = tuple(attributes["strides"]), (bottom, right)
    layer = nn.Conv2d(per_group * group, out, (height, width), strides, padding, groups=group)
    layer.weight.data, layer.bias = torch.from_numpy(weight.copy()), nn.Parameter(torch.from_numpy(bias.copy()))
    return layer


def _relu6(node: onnx.NodeProto, arrays: list[np.ndarray]) -> nn.ReLU6:
    if [float(array.item()) for array in arrays] != [0.0, 6.0]:
        raise ModelError(f"the ONNX file is not this MobileNet: node '{node.name}' clips elsewhere than at 0 and 6")
    return nn.ReLU6()


_LAYERS: dict[str, Callable[[onnx.NodeProto, list[np.ndarray]], nn.Module]] = {
    "Conv": _convolution,
    "Clip": _relu6,
    "GlobalAveragePool": lambda node, arrays: nn.AdaptiveAvgPool2d(1),
    "Flatten": lambda node, arrays: nn.Flatten(1),
    "Identity": lambda node, arrays: nn.Identity(),
}
