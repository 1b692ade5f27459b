"""The order of the rewrites, and the check after each: levels 0 to 3 of the graph."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx

from spikec.canonical import canonicalise
from spikec.equivalence import EquivalenceCheck
from spikec.errors import ModelError
from spikec.onnx_session import Feeds
from spikec.options import Options
from spikec.passes import (
    CancelTransposes,
    EncodeInputs,
    FoldBatchNorm,
    FoldConstants,
    FuseElementwise,
    FuseRows,
    NarrowFills,
    OpenGroupNorm,
    OpenLayerNorm,
    OpenLpNorm,
    OpenLpPool,
    OpenManyInputs,
    OpenMaxPool,
    OpenQuantisation,
    OpenQuantisedArithmetic,
    OpenReduction,
    OpenSoftmax,
    Pass,
    PlaceNeurons,
    Record,
    RemoveIdentity,
    UnifyPrecision,
    UnsupportedNode,
)
from spikec.passes.graph_io import export_model, import_graph
from spikec.rounding import change_by, is_quantised, without_rounding
from spikec.shape_inference import infer_shapes
from spikec.shifts import measured_reaches
from spikec.unevenness import uneven_norms

LEVELS = ("source", "canonical", "primitive", "neurons")
HALF_TOLERANCE = 2e-2  # a source in half precision differs from float32 by its own rounding


def ordered_passes(options: Options) -> tuple[tuple[str, Pass], ...]:
    """Every rewrite with the level that its result belongs to, in order."""
    canonical: tuple[tuple[str, Pass], ...] = (
        ("canonical", OpenQuantisedArithmetic()),
        ("canonical", FoldConstants()),
        ("canonical", OpenQuantisation(options.quantisation)),
        ("canonical", UnifyPrecision()),
        ("canonical", RemoveIdentity()),
        ("canonical", CancelTransposes()),
        ("canonical", FoldBatchNorm()),
        ("canonical", NarrowFills()),
        *((("canonical", FuseRows()),) if options.granularity == "composite" else ()),
        ("canonical", FuseElementwise()),
    )
    opened: tuple[tuple[str, Pass], ...] = (
        ("primitive", OpenLayerNorm()),
        ("primitive", OpenGroupNorm()),
        ("primitive", OpenLpNorm()),
        ("primitive", OpenSoftmax()),
        ("primitive", OpenReduction()),
        ("primitive", OpenMaxPool()),
        ("primitive", OpenLpPool()),
        ("primitive", OpenManyInputs()),
        ("primitive", FuseElementwise()),
    )
    neurons: tuple[tuple[str, Pass], ...] = (("neurons", PlaceNeurons(options.granularity)),)
    if options.coding != "direct":
        neurons += (("neurons", EncodeInputs({"float": "float", "spike": "sign"}[options.coding])),)
    return canonical + (opened if options.granularity == "strict" else ()) + neurons


@dataclass
class Levels:
    """A network at levels 0 to 3, with what each pass did and how far each result is from the source."""

    models: dict[str, onnx.ModelProto]
    records: list[tuple[str, Record]] = field(default_factory=list)
    distances: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def neurons(self) -> onnx.ModelProto:
        """Level 3."""
        return self.models["neurons"]


def build_levels(
    source: onnx.ModelProto, options: Options, feeds: Feeds, progress: Callable[[str], None] = lambda _: None
) -> Levels:
    """Take ``source`` to level 3, checking the outputs on ``feeds`` (a few samples) after every pass.

    Raises:
        ModelError: something in the model cannot be converted.
        InternalError: a pass changed the outputs; it is named.
    """
    progress("level 1: canonicalising")
    model = canonicalise(
        source
    )  # before the source runs: it names the node that cannot be converted, onnxruntime may not
    progress("level 0: running the source")
    check = EquivalenceCheck(source, feeds, as_written=is_quantised(source))
    if _has_other_floats(source):
        check.tolerance = HALF_TOLERANCE
    levels = Levels({"source": source, "canonical": model, "primitive": model})
    levels.distances["canonicalise"] = check(model, "canonicalisation")
    for level, rewrite in ordered_passes(options):
        name = type(rewrite).__name__
        progress(f"{level}: {name}")
        rewrite = _measured(rewrite, model, feeds)
        model, record = apply_pass(rewrite, model)
        check = _compare(levels, check, f"{level}/{name}", rewrite, record, model)
        levels.records.append((name, record))
        levels.models[level] = model
        if level == "canonical":
            levels.models["primitive"] = model
    return levels


def _measured(rewrite: Pass, model: onnx.ModelProto, feeds: Feeds) -> Pass:
    """``rewrite`` with what it has to know of the values in ``model``."""
    if isinstance(rewrite, OpenSoftmax):
        return OpenSoftmax(measured_reaches(model, rewrite.rows(import_graph(model)), feeds))
    if isinstance(rewrite, OpenLayerNorm | OpenGroupNorm):
        return type(rewrite)(uneven_norms(model, rewrite.rows(import_graph(model)), feeds))
    return rewrite


def _compare(
    levels: Levels, check: EquivalenceCheck, key: str, rewrite: Pass, record: Record, model: onnx.ModelProto
) -> EquivalenceCheck:
    """Note how far ``model`` is from the reference; returns the check for what comes next.

    A pass that may change the outputs is reported, not judged, and its result is the reference from there on. So is the
    result of OpenQuantisation: what follows it is compared without rounding (see ``spikec.rounding``).
    """
    change = change_by(rewrite) if record.rewrote else ""
    distance = check.distance(model) if change else check(model, f"pass {type(rewrite).__name__}")
    levels.distances[key] = distance
    if change:
        samples = max(len(np.atleast_1d(value)) for value in check.feeds.values())
        levels.warnings.append(f"{change}: the outputs move by {distance:.2g} (relative L2 on {samples} samples)")
    if isinstance(rewrite, OpenQuantisation) and record.rewrote:
        return EquivalenceCheck(model, check.feeds, check.tolerance, read=without_rounding)
    return EquivalenceCheck(model, check.feeds, check.tolerance, as_written=True) if change else check


def apply_pass(rewrite: Pass, model: onnx.ModelProto) -> tuple[onnx.ModelProto, Record]:
    """Run one rewrite on a model.

    Raises:
        ModelError: the pass met a node that cannot be converted.
    """
    try:
        graph, record = rewrite(import_graph(model))
    except UnsupportedNode as error:
        raise ModelError(str(error)) from error
    return infer_shapes(export_model(graph)), record


def _has_other_floats(model: onnx.ModelProto) -> bool:
    others = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    tensors = [*model.graph.input, *model.graph.output]
    return any(t.type.tensor_type.elem_type in others for t in tensors) or any(
        initializer.data_type in others for initializer in model.graph.initializer
    )
