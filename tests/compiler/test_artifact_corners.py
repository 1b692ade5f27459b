"""Sources that are unusual as files: precisions, names, inputs and outputs of every kind; in every form."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import spikec
from spikec.artifact import assemble
from spikec.equivalence import relative_distance
from spikec.errors import ModelError
from spikec.lowering import lower
from spikec.onnx_session import run_model
from tests.models.forms import FORMS, run_form
from tests.models.graphs import Arrays, ints, normal, parse
from tests.models.networks import flat, network
from tests.models.recurrent import SCHEDULE, place

WEIGHTS = {
    "w": normal(4, 6, seed=1),
    "u": normal(6, 6, seed=2) / 2,
    "v": normal(6, 3, seed=3),
    "k": normal(6, seed=4),
    "two": ints(2),
}
X = {"x": normal(4, 4, seed=5)}
BEGIN, END = "a = MatMul(x, w) h = Relu(a)", "y = MatMul(h, v)"

ROW, SCORES = "float[N, 4] x", "float[N, 3] y"

# name -> inputs, outputs, nodes
SOURCES = {
    "unused input": (f"{ROW}, float[N, 2] z", SCORES, f"{BEGIN} {END}"),
    "nodes that lead nowhere": (ROW, SCORES, f"{BEGIN} {END} d = Tanh(h) e = ArgMax(d)"),
    "the same output twice": (ROW, f"{SCORES}, float[N, 3] z", f"{BEGIN} {END} z = Identity(y)"),
    "the same neuron twice": (ROW, f"float[N, 6] h, float[N, 6] z, {SCORES}", f"{BEGIN} z = Identity(h) {END}"),
    "nodes called as tensors": (
        ROW,
        SCORES,
        "[y] a = MatMul(x, w) [x] h = Relu(a) [a] g = MatMul(h, u) [h] i = Tanh(g) y = MatMul(i, v)",
    ),
    "tensors called as states": (
        ROW,
        SCORES,
        'a = MatMul(x, w) ["h/value"] h = Relu(a) g = Neg(h) i = Tanh(g) "y/y" = MatMul(i, v) y = Identity("y/y")',
    ),
    "constant output": (ROW, f"{SCORES}, float[6] z", f"{BEGIN} {END} z = Neg(k)"),
    "output that is a weight": (ROW, f"{SCORES}, float[6] k", f"{BEGIN} {END}"),
    "shape of a neuron as output": (ROW, f"{SCORES}, int64[2] s", f"{BEGIN} {END} s = Shape(h)"),
    "shape inside the readout": (
        ROW,
        "float[N, 3] z",
        f"{BEGIN} {END} s = Softmax(y) n = Shape(s) m = ReduceProd<keepdims = 0>(n) f = Cast<to = 1>(m) z = Mul(s, f)",
    ),
    "two outputs of one readout": (ROW, "float[N, 2] t, int64[N, 2] i", f"{BEGIN} {END} t, i = TopK(y, two)"),
    "fixed batch": ("float[4, 4] x", "float[4, 3] y", f"{BEGIN} {END}"),
    "batch in second place": (
        "float[N, 5, 4] x",
        "float[5, N, 3] y",
        f"t = Transpose<perm = [1, 0, 2]>(x) a = MatMul(t, w) h = Relu(a) {END}",
    ),
}


def source(name) -> tuple[onnx.ModelProto, Arrays]:
    inputs, outputs, nodes = SOURCES[name]
    model = parse(f"g ({inputs}) => ({outputs}) {{ {nodes} }}", **WEIGHTS)
    shapes = {info.name: [d.dim_value or 4 for d in info.type.tensor_type.shape.dim] for info in model.graph.input}
    return model, {key: normal(*shape, seed=5) for key, shape in shapes.items()}


def check(model, feeds, form, **options):
    """Compile, run, compare names, types and shapes of the outputs with the source's, and the numbers roughly."""
    artifact = spikec.compile(model, calibration=feeds, steps=32, form=form, **options)
    onnx.checker.check_model(artifact.model, full_check=True)
    expected, found = run_model(model, feeds), run_form(artifact, feeds)
    assert {k: (v.dtype, v.shape) for k, v in found.items()} == {k: (v.dtype, v.shape) for k, v in expected.items()}
    floats = [name for name, value in expected.items() if np.issubdtype(value.dtype, np.floating)]
    assert relative_distance(flat({n: found[n] for n in floats}), flat({n: expected[n] for n in floats})) < 0.05
    return artifact


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SOURCES)
def test_unusual_sources(name, form):
    check(*source(name), form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_other_precisions_at_the_border(kind, dtype, form):
    """What is summed over time is float32 all the same: states are, and the output is cast when it is read."""
    text = f"g ({kind}[N, 4] x) => ({kind}[N, 3] y, {kind}[N, 6] h) {{ {BEGIN} {END} }}"
    model = parse(text, w=WEIGHTS["w"].astype(dtype), v=WEIGHTS["v"].astype(dtype))
    artifact = check(model, {"x": X["x"].astype(dtype)}, form)
    assert {artifact.recurrent.carried[state.initial][0] for state in artifact.recurrent.states} == {TensorProto.FLOAT}


@pytest.mark.parametrize("form", FORMS)
def test_an_input_of_bytes(form):
    text = f"g (uint8[N, 4] b) => (float[N, 3] y) {{ x = Cast<to = 1>(b) {BEGIN} {END} }}"
    bytes_ = np.random.default_rng(0).integers(0, 255, (4, 4)).astype(np.uint8)
    check(parse(text, **WEIGHTS), {"b": bytes_}, form)


@pytest.mark.parametrize("form", FORMS)
def test_weights_that_are_inputs_with_a_default(form):
    """As exporters wrote them before IR version 4."""
    model = network("mlp").model
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in model.graph.initializer
    )
    artifact = check(model, network("mlp").feeds(), form)
    assert artifact.manifest["inputs"] == ["x"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options", [{"range_per": "channel"}, {"initial": "mean"}, {"range_per": "channel", "initial": "mean"}]
)
@pytest.mark.parametrize("name", ["dense", "layer norm", "attention", "max pool"])
def test_amplitudes_and_initial_values_per_channel(name, options, form):
    check(network(name).model, network(name).feeds(), form, **options)


@pytest.mark.parametrize("form", FORMS)
def test_the_size_of_the_image_may_change_too(form):
    text = """g (float[N, 2, H, W] x) => (float[N, 4] y) {
      a = Conv<pads = [1, 1, 1, 1]>(x, k, d) h = Relu(a) p = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(h)
      b = Conv(p, l) c = Tanh(b) g = GlobalAveragePool(c) f = Flatten(g) y = Gemm(f, z)
    }"""
    constants = {"k": normal(3, 2, 3, 3), "d": normal(3), "l": normal(3, 3, 1, 1), "z": normal(3, 4)}
    artifact = check(parse(text, **constants), {"x": normal(4, 2, 8, 6)}, form)
    assert run_form(artifact, {"x": normal(3, 2, 10, 12)})["y"].shape == (3, 4)


@pytest.mark.parametrize("opset", [21, 23, 25])
@pytest.mark.parametrize("name", ["deep", "dense", "layer norm", "max pool", "reshape by the batch"])
def test_newer_opsets_keep_theirs(name, opset):
    case = network(name, opset)
    for form in FORMS:
        artifact = check(case.model, case.feeds(), form)
        assert {entry.domain: entry.version for entry in artifact.model.opset_import}[""] == opset


def test_an_input_that_is_an_output_by_itself_is_refused():
    text = f"g (float[N, 4] x) => (float[N, 3] y, float[N, 4] x) {{ {BEGIN} {END} }}"
    with pytest.raises(
        ModelError, match="output 'x' is an input of the model itself; leave it out, or pass it through"
    ):
        spikec.compile(parse(text, **WEIGHTS), calibration=X)


def test_form_step_needs_ranks_and_says_so():
    model = place(network("mlp").model)
    del model.graph.value_info[:]
    with pytest.raises(ModelError, match=r"the rank of '\w+' is not known, which form step needs; use form loop"):
        assemble(lower(model, SCHEDULE, "signgd"), "step")
    assert assemble(lower(model, SCHEDULE, "signgd"), "loop").graph.node
