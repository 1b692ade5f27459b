"""The readout graph: what is computed in float from the network's estimates, with the corrections of a calibration."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spikec.lowering.network import Network


@dataclass(frozen=True)
class Affine:
    """``scale * y + offset``: two float32 arrays of one shape, which spreads over the tensor y."""

    scale: np.ndarray
    offset: np.ndarray

    def extremes(self) -> dict[str, list[float]]:
        """Least and largest scale and offset."""
        pairs = {"scale": self.scale, "offset": self.offset}
        return {name: [float(values.min()), float(values.max())] for name, values in pairs.items()}


def with_free_output_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Outputs of the graph get an inner name: in init they are y(0), and the artifact's output is y(T)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inner = {output.name: _inner(output.name) for output in model.graph.output}
    for node in copy.graph.node:
        for names in (node.input, node.output):
            names[:] = [inner.get(name, name) for name in names]
    for output in copy.graph.output:
        output.name = inner[output.name]
    for tensor in copy.graph.initializer:
        tensor.name = inner.get(tensor.name, tensor.name)
    return copy


def readout_graph(
    model: onnx.ModelProto, network: Network, corrections: Mapping[str, Affine]
) -> tuple[list[onnx.NodeProto], dict[str, onnx.TensorProto]]:
    """Nodes from the estimates to the outputs, and constants of their own.

    Args:
        model: level 3.
        network: the same ``with_free_output_names``.
        corrections: what is made of an estimate before the readout takes it, by the name of its tensor in ``model``.
    """
    outputs = [output.name for output in model.graph.output]
    corrected = {_inner(name) if name in outputs else name: affine for name, affine in corrections.items()}
    nodes = [_reading(node, corrected) for node in network.nodes if node.name in network.readout]
    nodes += [_reading(_wire(name), corrected) for name in outputs]
    arrays = {f"{n}/readout/scale": a.scale for n, a in corrected.items()}
    arrays |= {f"{n}/readout/offset": a.offset for n, a in corrected.items()}
    constants = {name: numpy_helper.from_array(array, name) for name, array in arrays.items()}
    return [*(node for name in corrected for node in _correction(name)), *nodes], constants


def _correction(name: str) -> list[onnx.NodeProto]:
    scaled, corrected = f"{name}/readout/scaled", _corrected(name)
    return [
        helper.make_node("Mul", [name, f"{name}/readout/scale"], [scaled], name=scaled),
        helper.make_node("Add", [scaled, f"{name}/readout/offset"], [corrected], name=corrected),
    ]


def _reading(node: onnx.NodeProto, corrected: Mapping[str, Affine]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [_corrected(name) if name in corrected else name for name in node.input]
    return copy


def _corrected(name: str) -> str:
    return f"{name}/readout/corrected"


def _wire(output: str) -> onnx.NodeProto:
    return helper.make_node("Identity", [_inner(output)], [output], name=f"{output}/wire")


def _inner(output: str) -> str:
    return f"{output}/y"
