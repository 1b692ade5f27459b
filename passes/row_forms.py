"""How the tensors of a row region are shaped, told by the axes of the tensor that it starts from."""

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from spikec.passes.operators import is_elementwise
from spikec.passes.surgery import int_vector, values_of

# For each axis of a tensor the axis of the root that it runs along; None where it is known to have one element.
Form = tuple[int | None, ...]
Parameters = Sequence[np.ndarray | None]


class RowForms:
    """Forms of everything that ``nodes`` (in topological order) make of ``root``, whose rank is known.

    No size needs to be known: root (N, L, 8) -> ReduceMax along -1 -> (0, 1, None) -> Sub from root -> (0, 1, 2).
    A tensor without a form is shaped by something else than the root's own axes.
    """

    def __init__(self, root: gs.Tensor, nodes: Sequence[gs.Node]) -> None:
        self.sizes = list(root.shape)
        self.whole: Form = tuple(None if size == 1 else i for i, size in enumerate(self.sizes))
        self.forms: dict[str, Form | None] = {root.name: self.whole}
        self.own: dict[str, Form | None] = {root.name: self.whole}  # the same, had parameters but one element
        for node in nodes:
            output = node.outputs[0].name
            self.forms[output] = self._form(node, self.forms, [*map(values_of, node.inputs)])
            self.own[output] = self._form(node, self.own, [])

    def is_whole(self, tensor: gs.Tensor) -> bool:
        """Whether ``tensor`` has the shape of the root, and not from parameters alone."""
        return self.forms[tensor.name] == self.whole == self.own[tensor.name]

    def _form(self, node: gs.Node, forms: dict[str, Form | None], parameters: Parameters) -> Form | None:
        if is_elementwise(node.op, node.domain):
            operands = [forms[t.name] for t in node.inputs if t.name in forms]
            return self._joined(operands, [values.shape for values in parameters if values is not None])
        form = forms[node.inputs[0].name]
        if form is None:
            return None
        if node.op.startswith("Global"):
            return form[:2] + (None,) * (len(form) - 2)
        rule = {"Unsqueeze": _unsqueezed, "Squeeze": _squeezed}.get(node.op, _reduced)
        return rule(node, form)

    def _joined(self, operands: list[Form | None], shapes: list[tuple[int, ...]]) -> Form | None:
        """Operands meet from the right; where they run, they must run along the same axis of the root.

        A parameter of the size that the root has there brings back an axis that was reduced: scale * deviation.
        """
        if any(operand is None for operand in operands):
            return None
        known = [operand for operand in operands if operand is not None]
        rank = max(len(item) for item in [*known, *shapes])
        form: list[int | None] = []
        for place in range(-rank, 0):
            axes = {operand[place] for operand in known if len(operand) >= -place} - {None}
            sizes = {shape[place] for shape in shapes if len(shape) >= -place} - {1}
            if sizes and not axes and place >= -len(self.sizes):
                axes = {len(self.sizes) + place}
            if len(axes) > 1 or (sizes and sizes != {self.sizes[axis] for axis in axes if axis is not None}):
                return None
            form.append(axes.pop() if axes else None)
        return tuple(form)


def _reduced(node: gs.Node, form: Form) -> Form | None:
    axes = int_vector(node, "axes", 1)
    if not axes and node.attrs.get("noop_with_empty_axes", 0):
        return form
    gone = {axis % len(form) for axis in axes} if axes else set(range(len(form)))
    if node.attrs.get("keepdims", 1):
        return tuple(None if i in gone else axis for i, axis in enumerate(form))
    return tuple(axis for i, axis in enumerate(form) if i not in gone)


def _unsqueezed(node: gs.Node, form: Form) -> Form | None:
    axes = int_vector(node, "axes", 1) or []
    rank = len(form) + len(axes)
    new, rest = {axis % rank for axis in axes}, iter(form)
    return tuple(None if i in new else next(rest) for i in range(rank))


def _squeezed(node: gs.Node, form: Form) -> Form | None:
    axes = int_vector(node, "axes", 1)
    if not axes or any(form[axis] is not None for axis in axes):
        return None  # an axis of the root would be gone
    gone = {axis % len(form) for axis in axes}
    return tuple(axis for i, axis in enumerate(form) if i not in gone)
