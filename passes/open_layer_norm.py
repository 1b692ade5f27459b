"""LayerNormalization and its kin as the elementwise neurons that granularity "strict" allows."""

from collections.abc import Collection

import onnx_graphsurgeon as gs

from spikec.passes.norm_rows import NormRows, epsilon_of, measurable, spans_of_rows
from spikec.passes.normalise import centre, divide_by_rms, mean_square, scale_and_shift
from spikec.passes.opening import Form, Opening, open_nodes, openable
from spikec.passes.records import Record


class OpenLayerNorm:
    """Opens the norms along axes into mean, square and x/sqrt(y) (Oh & Lee 2024, section on layer normalisation).

    before: x -> LayerNormalization(scale, bias) -> y
    after:  c = x - mean(x);  y = c / sqrt(max(mean(c*c), 0) + epsilon) * scale + bias

    before: x -> RMSNormalization(scale) -> y
    after:  y = x / sqrt(max(mean(x*x), 0) + epsilon) * scale

    before: x -> MeanVarianceNormalization -> y
    after:  c = x - mean(x);  y = c / (sqrt(max(mean(c*c), 0)) + 1e-9)

    Where rows are uneven (``divide_by_rms``) the root is the exponential of a tree of logarithms.
    """

    def __init__(self, uneven: Collection[str] = ()) -> None:
        """``uneven``: the names of norms whose rows are."""
        self.uneven = uneven
        self._forms: dict[str, Form] = {
            "LayerNormalization": self._layer_norm,
            "RMSNormalization": self._rms_norm,
            "MeanVarianceNormalization": _mean_variance,
        }

    def rows(self, graph: gs.Graph) -> dict[str, NormRows]:
        """For each norm that may be uneven, by its name, what has to be measured."""
        return measurable(openable(graph, ("LayerNormalization", "RMSNormalization")))

    def __call__(self, graph: gs.Graph) -> tuple[gs.Graph, Record]:
        """Open every such norm on the value path of which only the first output is used.

        Raises:
            UnsupportedNode: its axis counts from the front, and its rank is unknown.
        """
        return open_nodes(graph, self._forms)

    def _layer_norm(self, opening: Opening) -> gs.Tensor:
        axes = opening.integers(_axes(opening), "axes")
        return self._scaled(opening, centre(opening, opening.x, axes), axes)

    def _rms_norm(self, opening: Opening) -> gs.Tensor:
        return self._scaled(opening, opening.x, opening.integers(_axes(opening), "axes"))

    def _scaled(self, opening: Opening, x: gs.Tensor, axes: gs.Tensor) -> gs.Tensor:
        spans = spans_of_rows(opening.node, self.uneven)
        result = divide_by_rms(opening, x, axes, epsilon_of(opening.node), spans)
        return scale_and_shift(opening, result, *opening.node.inputs[1:])


def _mean_variance(opening: Opening) -> gs.Tensor:
    axes = opening.integers(opening.node.attrs.get("axes", [0, 2, 3]), "axes")
    centred = centre(opening, opening.x, axes)
    deviation = opening.add("Sqrt", [mean_square(opening, centred, axes)], "deviation")
    # the number is that of the operator's function body in ONNX
    shifted = opening.add("Add", [deviation, opening.number(1e-9, "epsilon")], "shifted")
    return opening.add("Div", [centred, shifted], "normalised")


def _axes(opening: Opening) -> list[int]:
    """The normalised axes, counted from the back so that no rank is needed where ``axis`` is negative."""
    axis = int(opening.node.attrs.get("axis", -1))
    return list(range(axis, 0)) if axis < 0 else list(range(axis, opening.rank()))
