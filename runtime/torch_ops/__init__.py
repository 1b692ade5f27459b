"""The operators the evaluator knows, by name; one file a family."""

from spikec.runtime.torch_ops import (
    activation,
    creation,
    elementwise,
    gather,
    linear,
    normalization,
    ordering,
    pooling,
    reduction,
    resize,
    shape,
    slicing,
    transposed,
)
from spikec.runtime.torch_ops.common import Attrs, Builder, Kernel

__all__ = ["HOST_INPUTS", "OPERATORS", "SEVERAL_OUTPUTS", "Attrs", "Builder", "Kernel"]

OPERATORS: dict[str, Builder] = {
    **linear.OPS,
    **transposed.OPS,
    **pooling.OPS,
    **normalization.OPS,
    **reduction.OPS,
    **ordering.OPS,
    **elementwise.OPS,
    **activation.OPS,
    **shape.OPS,
    **slicing.OPS,
    **gather.OPS,
    **resize.OPS,
    **creation.OPS,
}

# Operators whose outputs after the first are computed too; all others have, or give, only one.
SEVERAL_OUTPUTS = frozenset({"Dropout", "Split", "TopK"})

# Positions of the inputs an operator reads as Python numbers (shapes, axes, counts).
HOST_INPUTS: dict[str, tuple[int, ...]] = {
    **{name: (1,) for name in reduction.OPS},
    **{name: (1,) for name in ("Reshape", "Expand", "Tile", "Squeeze", "Unsqueeze", "Split")},
    **{name: (1,) for name in ("TopK", "CumSum", "Trilu", "OneHot")},
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 2, 3),
    "Resize": (2, 3),
    "Range": (0, 1, 2),
    "ConstantOfShape": (0,),
    "Col2Im": (1, 2),
    "Dropout": (2,),
}
