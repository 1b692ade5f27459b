"""What may hold masks: sums into which something goes that no layer made."""

import onnx_graphsurgeon as gs

# operators that put parts of tensors together, or leave their elements as they are
_CARRIERS = frozenset(
    {"Add", "Cast", "Concat", "Div", "Expand", "Identity", "Max", "Min", "Mul", "Reshape", "Slice", "Split", "Squeeze",
     "Sub", "Sum", "Transpose", "Unsqueeze", "Where"}
)  # fmt: skip


def may_be_masked(x: gs.Tensor) -> bool:
    """Whether ``x`` may hold elements as low as masks have them: an input of the graph, or a choice, goes into it.

    What constants do to it the values of any sample show.
    """
    seen: set[str] = set()
    pending = [x]
    while pending:
        tensor = pending.pop()
        if isinstance(tensor, gs.Constant) or not tensor.name or tensor.name in seen:
            continue
        seen.add(tensor.name)
        if not tensor.inputs or tensor.inputs[0].op == "Where":
            return True
        if tensor.inputs[0].op in _CARRIERS:
            pending += tensor.inputs[0].inputs
    return False
