import onnx
import onnx_graphsurgeon as gs
import pytest

from spikec.passes.graph_io import IR_VERSION, export_model, import_graph
from spikec.passes.operators import FUNCTION_DOMAIN, NEURON_DOMAIN
from spikec.passes.region_function import add_function
from tests.models.graphs import normal, parse, same_outputs

MODEL = "g (float[N, 4] x) => (float[N, 4] y) { a = Relu(x) y = Add(a, k) }"


def test_there_and_back_again():
    model = parse(MODEL, k=normal(4))
    back = export_model(import_graph(model))
    onnx.checker.check_model(back, full_check=True)
    same_outputs(model, back, {"x": normal(2, 4)}, tolerance=0)
    assert back.graph.input[0].type == model.graph.input[0].type
    assert back.graph.output[0].type == model.graph.output[0].type


def test_nodes_without_a_name_are_called_after_their_output_and_doubles_are_numbered():
    nodes = "a = Relu(x) [same] b = Relu(a) [same] c = Relu(b) [same] d = Relu(c) [a] e = Relu(d) y = Neg(e)"
    graph = import_graph(parse(f"g (float[N, 4] x) => (float[N, 4] y) {{ {nodes} }}"))
    assert [node.name for node in graph.nodes] == ["a", "same", "same_2", "same_3", "a_2", "y"]


def test_nodes_come_in_topological_order():
    model = parse(MODEL, k=normal(4))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert [node.op for node in import_graph(model).nodes] == ["Relu", "Add"]


@pytest.mark.parametrize(
    ("opset", "ir_version", "expected"),
    [(13, 9, IR_VERSION), (20, 9, IR_VERSION), (20, 11, IR_VERSION), (23, 9, IR_VERSION), (23, 11, 11)],
)
def test_opset_is_kept_and_the_ir_version_goes_with_it(opset, ir_version, expected):
    model = parse(MODEL, opset=opset, k=normal(4))
    model.ir_version = ir_version
    exported = export_model(import_graph(model))
    assert {entry.domain: entry.version for entry in exported.opset_import}[""] == opset
    assert exported.ir_version == expected


def test_functions_are_exported_with_the_domains_that_they_and_the_graph_use():
    graph = import_graph(parse("g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"))
    node = graph.nodes[0]
    function, _ = add_function(graph, [node], [graph.inputs[0]])
    output = node.outputs[0]
    node.outputs.clear()
    graph.nodes.append(gs.Node(function.name, "call", {}, [graph.inputs[0]], [output], domain=FUNCTION_DOMAIN))
    model = export_model(graph.cleanup())
    onnx.checker.check_model(model)
    assert {entry.domain for entry in model.opset_import} == {"", FUNCTION_DOMAIN}
    imports = {entry.domain: entry.version for entry in model.functions[0].opset_import}
    assert imports == {"": 20, FUNCTION_DOMAIN: 1, NEURON_DOMAIN: 1}
    same_outputs(parse("g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"), model, {"x": normal(2, 4)})
