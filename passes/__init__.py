"""Graph rewrites: each takes and returns an ``onnx_graphsurgeon.Graph`` with a record of what it did.

A pass knows nothing of the compiler that runs it or of the runtime that runs the result.
"""

from spikec.passes.encode_inputs import EncodeInputs
from spikec.passes.errors import UnsupportedNode
from spikec.passes.fold_batch_norm import FoldBatchNorm
from spikec.passes.fold_constants import FoldConstants
from spikec.passes.fuse_elementwise import FuseElementwise
from spikec.passes.open_layer_norm import OpenLayerNorm
from spikec.passes.open_max_pool import OpenMaxPool
from spikec.passes.place_neurons import PlaceNeurons
from spikec.passes.records import Pass, Record, Skip
from spikec.passes.remove_identity import RemoveIdentity
from spikec.passes.unify_precision import UnifyPrecision
from spikec.passes.unroll_time import UnrollTime

__all__ = [
    "EncodeInputs",
    "FoldBatchNorm",
    "FoldConstants",
    "FuseElementwise",
    "OpenLayerNorm",
    "OpenMaxPool",
    "Pass",
    "PlaceNeurons",
    "Record",
    "RemoveIdentity",
    "Skip",
    "UnifyPrecision",
    "UnrollTime",
    "UnsupportedNode",
]
