"""Level 1, first half: what is done to a model before the passes see it.

Functions inlined, machine-learning operators opened, opset 20 (newer stays), shapes inferred, constants and shape
arithmetic folded as far as onnxscript goes.
"""

from collections.abc import Iterable

import onnx
import onnx.inliner
import onnx.version_converter
import onnxscript.optimizer

from spikec.errors import ModelError
from spikec.frontends.validity import loses_tensors
from spikec.passes import OpenMlOperators, UnsupportedNode
from spikec.passes.graph_io import IR_VERSION, export_model, import_graph, unique_names
from spikec.passes.ml_operators import ML_DOMAIN
from spikec.passes.operators import CONTROL_FLOW
from spikec.quiet import quiet
from spikec.shape_inference import first_line, infer_shapes
from spikec.spelling import name_types, spell_out

OLDEST_OPSET, OPSET = 13, 20
_WAY_OUT = "export with standard operators or include its function"
_WAYS_OUT = {
    "com.microsoft": "convert the model that onnxruntime optimised or quantised, or quantise it with "
    "quantize_static(..., quant_format=QuantFormat.QDQ) and opset 21, which need no operators of its own"
}


def canonicalise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in opset 20 or newer, without functions, with inferred shapes; outputs are unchanged.

    Raises:
        ModelError: opset too old or too new, an operator of a foreign domain, control flow that depends on data, a
            value that is no tensor, or an operator that has no conversion to opset 20.
    """
    version = opset_of(model)
    if version < OLDEST_OPSET:
        raise ModelError(
            f"the model has opset {version}; spikec needs {OLDEST_OPSET} or newer: export it again with "
            f"opset_version={OPSET}"
        )
    newest = onnx.defs.onnx_opset_version()
    if version > newest:
        raise ModelError(
            f"the model has opset {version}; the installed onnx knows {newest}: export it again with "
            f"opset_version={OPSET}, or install a newer onnx"
        )
    model = onnx.inliner.inline_local_functions(model) if model.functions else _copy(model)
    model = spell_out(name_types(_with_named_nodes(model), infer_shapes), infer_shapes)
    model = _open_ml_operators(model)
    _refuse_foreign_domains(model)
    _refuse_passed_inputs(model)
    names = {name: node.name for node in model.graph.node for name in node.output if name}
    if version < OPSET:
        model = _convert(model, version)
    model.ir_version = max(model.ir_version, IR_VERSION)
    model = _optimise(model)
    # converter and optimizer name their nodes as they like
    _rename(model, [names.get(next(iter(node.output), ""), node.name) for node in model.graph.node])
    _refuse_control_flow(model)
    model = infer_shapes(model)
    _refuse_other_values(model)
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operator set that the model imports (0 if none)."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _with_named_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Nodes without a name are called as their first output is: that can be found in the file, unlike a number."""
    _rename(model, [node.name or next(filter(None, node.output), node.op_type) for node in model.graph.node])
    return model


def _rename(model: onnx.ModelProto, names: Iterable[str]) -> None:
    for node, name in zip(model.graph.node, unique_names(names), strict=True):
        node.name = name


def _convert(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter is C++ and raises RuntimeError, ConvertError and others
        raise ModelError(
            f"the model cannot be taken from opset {version} to {OPSET}: {first_line(error)}; export it again with "
            f"opset_version={OPSET}"
        ) from error


def _optimise(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        with quiet():
            optimised: onnx.ModelProto = onnxscript.optimizer.optimize(model)
            if loses_tensors(optimised.graph):  # its rules do so with the limits of a tensor that is clamped twice
                optimised = _copy(model)
                onnxscript.optimizer.fold_constants(optimised)
                onnxscript.optimizer.remove_unused_nodes(optimised)
    except Exception as error:  # third-party rewriting: any failure means a model it cannot read
        raise ModelError(f"the model's constants cannot be folded: {first_line(error)}") from error
    return optimised


def _open_ml_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """Scikit-learn's operators in standard ones: what comes next knows no other domain."""
    if not any(node.domain == ML_DOMAIN for node in model.graph.node):
        return model
    try:
        graph, _ = OpenMlOperators()(import_graph(model))
    except UnsupportedNode as error:
        raise ModelError(str(error)) from error
    return export_model(graph)


def _refuse_foreign_domains(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ModelError(
                f"node '{node.name or node.output[0]}' ({node.op_type}): operator of the domain {node.domain}, which "
                f"has no definition in the file; {_WAYS_OUT.get(node.domain, _WAY_OUT)}"
            )


def _refuse_passed_inputs(model: onnx.ModelProto) -> None:
    """The optimizer would rename an input that is an output by itself."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = {info.name for info in model.graph.input} - stored
    for output in model.graph.output:
        if output.name in inputs:
            raise ModelError(
                f"output '{output.name}' is an input of the model itself; leave it out, or pass it through an Identity "
                "to an output of another name"
            )


def _refuse_control_flow(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type in CONTROL_FLOW:
            raise ModelError(
                f"node '{node.name or node.output[0]}' ({node.op_type}): control flow that depends on data has no "
                "spiking form; trace the model with fixed choices so that it becomes plain operators"
            )


def _refuse_other_values(model: onnx.ModelProto) -> None:
    """Sequences, optionals and the like cannot carry spikes."""
    for info in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        kind = info.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            maker = next((node for node in model.graph.node if info.name in node.output), None)
            where = f"node '{maker.name or maker.output[0]}' ({maker.op_type})" if maker else f"input '{info.name}'"
            raise ModelError(
                f"{where}: the value '{info.name}' is of {kind}, not a tensor; export the model so that plain tensors "
                "pass between its nodes"
            )
