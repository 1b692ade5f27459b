import numpy as np
import onnx
import pytest

from spikec.passes import FuseElementwise, FuseRows, PlaceNeurons, UnsupportedNode
from spikec.passes.graph_io import import_graph
from spikec.passes.operators import CONTROL_FLOW
from spikec.passes.place_neurons import STRICT_KINDS, why_no_neuron
from spikec.passes.value_path import ValuePath
from tests.models.graphs import (
    initializer,
    ints,
    keeps_outputs,
    normal,
    operators,
    parse,
    run_pass,
    same_outputs,
    scalar,
)

FEEDS = {"x": normal(2, 3, 4, 4), "z": normal(2, 3, 4, 4, seed=1)}
CONSTANTS = {"slope": normal(3, 1, 1), "low": scalar(-1), "high": scalar(1), "s": normal(4), "two": scalar(2)}


NO_PART = "booleans or integers that are no part of one elementwise neuron"


def model_of(nodes, **more):
    text = f"""g (float[N, 3, 4, 4] x, float[N, 3, 4, 4] z) => (float[N, 2, A, B] y) {{ {nodes} y = Conv(a, w) }}"""
    return parse(text, w=normal(2, 3, 1, 1), **CONSTANTS, **more)


def placed(nodes, granularity="composite"):
    return keeps_outputs(PlaceNeurons(granularity), model_of(nodes), FEEDS)


def neurons(model):
    """Attributes of every neuron node."""
    nodes = [node for node in model.graph.node if node.domain == "spikec"]
    return [{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in nodes]


@pytest.mark.parametrize(
    ("node", "kind", "values"),
    [
        ("a = Relu(x)", b"unary", 1),
        ("a = PRelu(x, slope)", b"unary", 1),
        ("a = Clip(x, low, high)", b"unary", 1),
        ("a = Div(two, x)", b"unary", 1),
        ("a = Mul(x, x)", b"unary", 1),
        ("a = Mul(x, z)", b"binary", 2),
        ("a = Max(x, z, x)", b"binary", 2),
        ("h = Neg(z) a = Max(x, z, h)", b"many", 3),
        ("a = LayerNormalization(x, s)", b"row", 1),
        ("a = Softmax<axis = 1>(x)", b"row", 1),
        ("a = MaxPool<kernel_shape = [2, 2]>(x)", b"window", 1),
        ("a = GlobalMaxPool(x)", b"window", 1),
        ("a = MatMul(x, z)", b"product", 2),
        ("a = MatMul(x, x)", b"product", 1),
    ],
)
def test_kinds(node, kind, values):
    model, record = placed(node)
    (neuron,) = neurons(model)
    assert (neuron["kind"], neuron["values"], neuron["coding"]) == (kind, values, b"sign")
    assert record.rewrote == ["a"]


def test_a_neuron_takes_values_parameters_amplitude_and_initial_value_in_this_order():
    model, _ = placed("[act] a = PRelu(x, slope)")
    (node,) = [n for n in model.graph.node if n.domain == "spikec"]
    assert list(node.input) == ["x", "slope", "act/amplitude", "act/initial"]
    assert node.name == "act" and node.op_type.startswith("PRelu_")
    assert initializer(model, "act/amplitude") == 1 and initializer(model, "act/initial") == 0


def test_a_neuron_function_reads_as_f():
    model, _ = placed("a = Relu(x)")
    functions = {(f.domain, f.name): f for f in model.functions}
    assert set(functions) == {("spikec", "Relu"), ("spikec.f", "Relu")}
    (call,) = functions["spikec", "Relu"].node
    assert (call.domain, call.op_type) == ("spikec.f", "Relu")
    assert list(functions["spikec", "Relu"].input)[-2:] == ["amplitude", "initial"]


def test_neurons_with_the_same_f_share_functions_and_have_settings_of_their_own():
    model, _ = placed("[one] b = Relu(x) [two] a = Relu(b)")
    assert len(model.functions) == 2
    assert {"one/amplitude", "two/amplitude"} <= {t.name for t in model.graph.initializer}


def test_a_fused_function_becomes_one_neuron_with_its_parameters():
    model = model_of("p = Mul(x, slope) e = Exp(p) q = Mul(e, slope) m = Mul(q, x) a = Sub(m, z)")
    fused, _ = run_pass(FuseElementwise(), model)
    found, record = keeps_outputs(PlaceNeurons(), fused, FEEDS)
    assert record.rewrote == ["m"]
    (node,) = [n for n in found.graph.node if n.domain == "spikec"]
    assert list(node.input)[:2] == ["x", "slope"]
    same_outputs(model, found, FEEDS)


def test_linear_nodes_and_readouts_are_left_alone():
    text = "g (float[N, 4] x) => (float[N, 3] y) { a = Mul(x, s) b = MatMul(a, w) y = Softmax(b) }"
    model, record = keeps_outputs(PlaceNeurons(), parse(text, s=normal(4), w=normal(4, 3)), {"x": normal(2, 4)})
    assert operators(model) == ["MatMul", "Mul", "Softmax"]
    assert record.rewrote == []


def test_the_pass_leaves_neurons_that_are_there():
    once, _ = placed("a = Relu(x)")
    twice, record = run_pass(PlaceNeurons(), once)
    assert record.rewrote == []
    assert operators(twice) == operators(once)


def refusal(nodes, granularity="composite"):
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(PlaceNeurons(granularity), model_of(nodes))
    error = refused.value
    assert str(error) == f"node '{error.node}' ({error.op}): {error.reason}; {error.way_out}"
    return error.node, error.op, error.reason, error.way_out


@pytest.mark.parametrize(
    ("node", "op", "kind"),
    [
        ("LayerNormalization(x, s)", "LayerNormalization", "row"),
        ("Softmax(x)", "Softmax", "row"),
        ("MaxPool<kernel_shape = [2, 2]>(x)", "MaxPool", "window"),
        ("Max(x, z, h)", "Max", "many"),
    ],
)
def test_strict_refuses_kinds_with_the_way_out(node, op, kind):
    found = refusal(f"h = Neg(x) [here] a = {node}", "strict")
    assert found == ("here", op, f"a {kind} neuron is not strict", "compile with --granularity composite")


def test_strict_allows_what_the_paper_has_and_products():
    nodes = "r = Relu(x) m = Mul(r, z) a = MatMul(m, z)"
    assert [n["kind"] for n in neurons(placed(nodes, "strict")[0])] == [b"unary", b"binary", b"product"]
    assert {"unary", "binary", "product"} == STRICT_KINDS


def test_messages_name_the_operators_of_a_function_and_no_fingerprint():
    nodes = "e = Exp(x) s = ReduceSum(e, last) [here] d = Div(e, s) y = MatMul(d, w)"
    text = "g (float[N, 4] x) => (float[N, 2] y)"
    fused, _ = run_pass(FuseRows(), parse(f"{text} {{ {nodes} }}", w=normal(4, 2), last=ints(-1)))
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(PlaceNeurons("strict"), fused)
    assert (refused.value.op, refused.value.reason) == ("Exp_ReduceSum_Div", "a row neuron is not strict")


def test_an_operator_without_a_spiking_form_is_named():
    found = refusal("[here] b = ScatterElements(x, i, x) i = Cast<to = 7>(n) n = Abs(w) a = Neg(b)")
    assert found[:2] == ("here", "ScatterElements")
    assert found[2] == "operator has no spiking form yet"
    assert found[3] == "replace it in the model or ask for it with its ONNX definition"


def test_a_selection_inside_the_network():
    node, op, reason, way_out = refusal("[best] i = ArgMax<axis = 1>(x) f = Cast<to = 1>(i) a = Add(x, f)")
    assert (node, op, reason) == ("best", "ArgMax", "a selection inside the network")
    assert way_out == "make it the last operator, behind all weights, where it is a readout"


def test_rounding_inside_the_network_by_a_cast():
    """FuseElementwise, which does not run here, makes one neuron of a cast to integers and the cast back."""
    node, op, reason, _ = refusal("[round] i = Cast<to = 7>(x) a = Cast<to = 1>(i)")
    assert (node, op, reason) == ("round", "Cast", NO_PART)


@pytest.mark.parametrize(
    ("nodes", "op"),
    [
        # the choice is not elementwise
        ("[here] c = Greater(x, low) k = Cast<to = 7>(c) r = ReduceSum(k) a = Cast<to = 1>(r)", "Greater"),
        ("[here] c = Less(x, low) t = Transpose<perm = [0, 1, 3, 2]>(c) a = Where(t, x, low)", "Less"),
        # three tensors: an estimate would be kept of each
        ("[here] c = Greater(x, low) v = Conv(x, u) a = Where(c, z, v)", "Greater"),
        # a parameter that is computed
        ("s = Size(x) f = Cast<to = 1>(s) [here] c = Greater(x, f) a = Where(c, x, low)", "Greater"),
        ("[here] n = IsNaN(x) e = Flatten(n) f = Flatten(x) g = Where(e, low, f) a = Reshape(g, back)", "IsNaN"),
    ],
)
def test_booleans_that_leave_the_neuron(nodes, op):
    model = model_of(nodes, u=normal(3, 3, 1, 1), back=ints(0, 3, 4, 4))
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(PlaceNeurons(), run_pass(FuseElementwise(), run_pass(FuseRows(), model)[0])[0])
    assert (refused.value.node, refused.value.op, refused.value.reason) == ("here", op, NO_PART)
    assert "elementwise in two tensors at most" in refused.value.way_out


def test_a_cast_to_narrow_integers():
    fused, record = run_pass(FuseElementwise(), model_of("[here] i = Cast<to = 2>(x) a = Cast<to = 1>(i)"))
    assert record.rewrote == []
    with pytest.raises(UnsupportedNode, match="processors round to in their own ways; cast to int32 or int64"):
        run_pass(PlaceNeurons(), fused)


def test_an_output_besides_the_first():
    text = """g (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) {
      [norm] n, mean = LayerNormalization(x, s) a = Add(n, mean) y = Conv(a, w)
    }"""
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(PlaceNeurons(), parse(text, w=normal(2, 3, 1, 1), s=normal(4)))
    assert (refused.value.node, refused.value.reason) == ("norm", "more than its first output is used")
    assert refused.value.way_out == "export the model so that only the first output is used"


def test_an_output_besides_the_first_that_nobody_takes():
    model, record = placed("a, index = MaxPool<kernel_shape = [2, 2]>(x)")
    assert record.rewrote == ["a"]
    assert [list(node.output) for node in model.graph.node if node.domain] == [["a"]]


def test_an_output_besides_the_first_that_is_an_output_of_the_graph():
    text = """g (float[N, 4] x) => (float[N, 2] y, float[N, 1] mean) {
      [norm] n, mean = LayerNormalization(x, s) y = MatMul(n, w)
    }"""
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(PlaceNeurons(), parse(text, w=normal(4, 2), s=normal(4)))
    assert (refused.value.node, refused.value.reason) == ("norm", "more than its first output is used")


def test_control_flow_that_depends_on_values():
    branch = (
        "then_branch = t () => (float[B, 4] p) { p = Neg(x) }, else_branch = e () => (float[B, 4] q) { q = Abs(x) }"
    )
    text = f"""g (float[N, 4] x) => (float[N, 2] y) {{
      m = ReduceMax<keepdims = 0>(x) c = Greater(m, low) [fork] a = If<{branch}>(c) y = MatMul(a, w) }}"""
    graph = import_graph(parse(text, w=normal(4, 2), low=scalar(0)))
    fork = next(node for node in graph.nodes if node.op in CONTROL_FLOW)
    reason, way_out = why_no_neuron(fork, ValuePath(graph))
    assert reason == "control flow that depends on values"
    assert way_out == "trace the model so that the branch or loop becomes plain operators"


def test_an_operator_of_a_foreign_domain():
    text = """<ir_version: 9, opset_import: ["": 20, "made.up": 1]>
    g (float[N, 4] x) => (float[N, 2] y) { [odd] a = made.up.Odd(x) y = MatMul(a, w) }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(normal(4, 2), "w"))
    graph = import_graph(model)
    reason, _ = why_no_neuron(graph.nodes[0], ValuePath(graph))
    assert reason == "operator of domain made.up has no spiking form yet"


def test_what_a_network_computes_does_not_depend_on_its_parameters_being_constants():
    """A bound that is computed from a shape is a parameter like any other."""
    nodes = "n = Shape(x) f = Cast<to = 1>(n) m = ReduceMean<keepdims = 0>(f) a = Min(x, m)"
    model, _ = placed(nodes)
    assert [n["kind"] for n in neurons(model)] == [b"unary"]


def test_integers_of_a_gather_are_no_obstacle():
    model = model_of("[act] r = Relu(x) a = Gather<axis = 1>(r, i)")
    model.graph.initializer.append(onnx.numpy_helper.from_array(ints(2, 1, 0), "i"))
    found, record = keeps_outputs(PlaceNeurons(), model, FEEDS)
    assert record.rewrote == ["act"] and np.array_equal(initializer(found, "i"), [2, 1, 0])
