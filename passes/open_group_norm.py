"""GroupNormalization and InstanceNormalization as the elementwise neurons that granularity "strict" allows."""

from collections.abc import Collection

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.norm_rows import NormRows, epsilon_of, measurable, spans_of_rows
from spikec.passes.normalise import centre, divide_by_rms, scale_and_shift
from spikec.passes.opening import Opening, open_nodes, openable
from spikec.passes.records import Record
from spikec.passes.surgery import constant, values_of

_SCALE_PER_CHANNEL = 21  # the opset from which on GroupNormalization has a scale and a bias for each channel


class OpenGroupNorm:
    """Opens the norms over the spatial axes of a channel, or of a group of channels.

    before: x -> InstanceNormalization(scale, bias) -> y
    after:  c = x - mean(x);  y = c / sqrt(max(mean(c*c), 0) + epsilon) * scale + bias

    before: x (N, C, H, W) -> GroupNormalization(G groups, scale, bias) -> y
    after:  g = Reshape(x, (N, G, -1));  the same along the last axis of g;  Reshape to (N, C, H, W)

    Scale and bias are one value a channel (before opset 21, GroupNormalization: one a group).
    """

    def __init__(self, uneven: Collection[str] = ()) -> None:
        """``uneven``: the names of norms whose rows are (``divide_by_rms``)."""
        self.uneven = uneven
        self._forms = {"GroupNormalization": self._group_norm, "InstanceNormalization": self._instance_norm}

    def rows(self, graph: gs.Graph) -> dict[str, NormRows]:
        """For each norm that may be uneven, by its name, what has to be measured."""
        return measurable(openable(graph, self._forms))

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every such norm on the value path.

        Raises:
            UnsupportedNode: its rank is unknown.
        """
        return open_nodes(graph, self._forms)

    def _instance_norm(self, opening: Opening) -> gs.Tensor:
        rank = opening.rank()
        result = self._normalised(opening, opening.x, range(2, rank))
        return scale_and_shift(opening, result, *_columns(opening, rank - 2))

    def _group_norm(self, opening: Opening) -> gs.Tensor:
        rank, groups = opening.rank(), int(opening.node.attrs["num_groups"])
        shape = opening.integers([0, groups, -1], "groups")
        result: gs.Tensor = self._normalised(opening, opening.add("Reshape", [opening.x, shape], "grouped"), [2])
        per_channel = opening.graph.opset >= _SCALE_PER_CHANNEL
        if not per_channel:
            result = scale_and_shift(opening, result, *_columns(opening, 1))
        result = opening.add("Reshape", [result, _shape_of(opening)], "ungrouped")
        return scale_and_shift(opening, result, *_columns(opening, rank - 2)) if per_channel else result

    def _normalised(self, opening: Opening, x: gs.Tensor, spatial: range | list[int]) -> gs.Tensor:
        axes = opening.integers(list(spatial), "axes")
        spans = spans_of_rows(opening.node, self.uneven)
        return divide_by_rms(opening, centre(opening, x, axes), axes, epsilon_of(opening.node), spans)


def _shape_of(opening: Opening) -> gs.Tensor:
    shape = opening.add("Shape", [opening.x], "sizes")
    shape.dtype = np.int64
    return shape


def _columns(opening: Opening, behind: int) -> list[gs.Tensor]:
    """Scale and bias with ``behind`` axes of size 1 after their own, so that they spread over the spatial axes."""
    columns: list[gs.Tensor] = []
    for part, tensor in zip(("scale", "bias"), opening.node.inputs[1:], strict=True):
        values = values_of(tensor)
        if values is None:
            axes = opening.integers(list(range(1, behind + 1)), f"{part}_axes")
            columns.append(opening.add("Unsqueeze", [tensor, axes], part))
        else:
            columns.append(constant(f"{opening.node.name}/{part}", values.reshape(-1, *[1] * behind)))
    return columns
