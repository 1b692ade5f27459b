"""Graph rewrites: each takes and returns an ``onnx_graphsurgeon.Graph`` with a record of what it did.

A pass knows nothing of the compiler that runs it or of the runtime that runs the result.
"""

from spikec.passes.cancel_transposes import CancelTransposes
from spikec.passes.encode_inputs import EncodeInputs
from spikec.passes.errors import UnsupportedNode
from spikec.passes.fold_batch_norm import FoldBatchNorm
from spikec.passes.fold_constants import FoldConstants
from spikec.passes.fuse_elementwise import FuseElementwise
from spikec.passes.fuse_rows import FuseRows
from spikec.passes.narrow_fills import NarrowFills
from spikec.passes.open_group_norm import OpenGroupNorm
from spikec.passes.open_layer_norm import OpenLayerNorm
from spikec.passes.open_lp_norm import OpenLpNorm
from spikec.passes.open_lp_pool import OpenLpPool
from spikec.passes.open_many_inputs import OpenManyInputs
from spikec.passes.open_max_pool import OpenMaxPool
from spikec.passes.open_ml_operators import OpenMlOperators
from spikec.passes.open_quantisation import OpenQuantisation
from spikec.passes.open_quantised_arithmetic import OpenQuantisedArithmetic
from spikec.passes.open_reduction import OpenReduction
from spikec.passes.open_softmax import OpenSoftmax
from spikec.passes.place_neurons import PlaceNeurons
from spikec.passes.records import Pass, Record, Skip
from spikec.passes.remove_identity import RemoveIdentity
from spikec.passes.unify_precision import UnifyPrecision
from spikec.passes.unroll_time import UnrollTime

__all__ = [
    "CancelTransposes",
    "EncodeInputs",
    "FoldBatchNorm",
    "FoldConstants",
    "FuseElementwise",
    "FuseRows",
    "NarrowFills",
    "OpenGroupNorm",
    "OpenLayerNorm",
    "OpenLpNorm",
    "OpenLpPool",
    "OpenManyInputs",
    "OpenMaxPool",
    "OpenMlOperators",
    "OpenQuantisation",
    "OpenQuantisedArithmetic",
    "OpenReduction",
    "OpenSoftmax",
    "Pass",
    "PlaceNeurons",
    "Record",
    "RemoveIdentity",
    "Skip",
    "UnifyPrecision",
    "UnrollTime",
    "UnsupportedNode",
]
