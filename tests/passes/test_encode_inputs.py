import onnx
import pytest

from spikec.passes import EncodeInputs, PlaceNeurons, UnsupportedNode
from tests.models.graphs import keeps_outputs, normal, parse, run_pass

TWO = "g (float[N, 4] x, float[N, 4] z) => (float[N, 2] y) { a = Add(x, z) b = Mul(x, a) y = MatMul(b, w) }"
FEEDS = {"x": normal(3, 4), "z": normal(3, 4, seed=1)}


def encoders(model):
    nodes = [node for node in model.graph.node if node.op_type == "Identity" and node.domain == "spikec"]
    return {node.name: {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in nodes}


@pytest.mark.parametrize("coding", ["float", "sign"])
def test_an_encoder_behind_every_input(coding):
    model, record = keeps_outputs(EncodeInputs(coding), parse(TWO, w=normal(4, 2)), FEEDS)
    expected = {"kind": b"encoder", "values": 1, "coding": coding.encode()}
    assert encoders(model) == {"x/encoder": expected, "z/encoder": expected}
    assert record.rewrote == ["x/encoder", "z/encoder"]
    assert [info.name for info in model.graph.input] == ["x", "z"]


def test_every_consumer_reads_the_encoded_input():
    model, _ = keeps_outputs(EncodeInputs("sign"), parse(TWO, w=normal(4, 2)), FEEDS)
    readers = [node.name for node in model.graph.node if "x" in node.input or "z" in node.input]
    assert sorted(readers) == ["x/encoder", "z/encoder"]


def test_an_input_that_two_places_of_one_node_read():
    text = "g (float[N, 4] x) => (float[N, 2] y) { b = Add(x, x) y = MatMul(b, w) }"
    model, _ = keeps_outputs(EncodeInputs("float"), parse(text, w=normal(4, 2)), {"x": FEEDS["x"]})
    assert len(encoders(model)) == 1


def test_behind_neurons_that_are_placed_already():
    text = "g (float[N, 4] x) => (float[N, 2] y) { b = Relu(x) y = MatMul(b, w) }"
    placed, _ = run_pass(PlaceNeurons("strict"), parse(text, w=normal(4, 2)))
    model, _ = keeps_outputs(EncodeInputs("float"), placed, {"x": FEEDS["x"]})
    assert [node.name for node in model.graph.node] == ["x/encoder", "b", "y"]


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
def test_of_integers_what_the_first_weights_make_of_them_is_encoded(kind):
    model = parse(
        f"g ({kind}[N, 4] x) => (float[N, 2] z) {{ f = Cast<to = 1>(x) y = MatMul(f, w) z = Neg(y) }}", w=normal(4, 2)
    )
    assert list(encoders(run_pass(EncodeInputs("sign"), model)[0])) == ["y/encoder"]


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_an_input_that_is_another_float_than_float32_is_refused(kind):
    model = parse(f"g ({kind}[N, 4] x) => (float[N, 2] y) {{ f = Cast<to = 1>(x) y = MatMul(f, w) }}", w=normal(4, 2))
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(EncodeInputs("sign"), model)
    assert (refused.value.node, refused.value.op) == ("x", "input")
    assert refused.value.reason == f"its type {kind} cannot be encoded in events"
    assert refused.value.way_out == "use --coding direct"
