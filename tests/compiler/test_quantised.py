"""Networks quantised by onnxruntime: what becomes of them at every level, and how near the artifact comes."""

import functools
import tempfile

import numpy as np
import onnx
import onnxruntime.quantization as ortq
import pytest
from onnx import helper

import spikec
from spikec.equivalence import EquivalenceCheck, relative_distance
from spikec.errors import InternalError, ModelError
from spikec.rounding import without_rounding
from spikec.runtime import Session
from tests.compiler.conftest import Run
from tests.models.graphs import count, normal, parse, scalar
from tests.oracle import Oracle

WEIGHTS = {
    "k1": normal(6, 2, 3, 3, seed=1) / 3,
    "k2": normal(6, 6, 3, 3, seed=2) / 6,
    "b1": normal(6, seed=3) / 4,
    "b2": normal(6, seed=4) / 4,
    "w": normal(54, 5, seed=5) / 7,
    "c": normal(5, seed=6),
}
RESIDUAL = """g (float[N, 2, 6, 6] x) => (float[N, 5] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, k1, b1) r = Relu(a)
    b = Conv<pads = [1, 1, 1, 1]>(r, k2, b2) s = Add(b, r) t = Relu(s)
    p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(t) f = Flatten(p) y = Gemm(f, w, c)
}"""
PLAIN = """g (float[N, 2, 6, 6] x) => (float[N, 6, 3, 3] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, k1, b1) r = Relu(a) p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r)
    y = Conv<pads = [1, 1, 1, 1]>(p, k2, b2)
}"""
X, TEST = normal(64, 2, 6, 6, seed=7), normal(16, 2, 6, 6, seed=8)
U8, S8, U16 = ortq.QuantType.QUInt8, ortq.QuantType.QInt8, ortq.QuantType.QUInt16
SETTINGS = {
    "uint8": {"activation_type": U8, "weight_type": S8},
    "uint8 per channel": {"activation_type": U8, "weight_type": S8, "per_channel": True},
    "int8 per channel": {"activation_type": S8, "weight_type": S8, "per_channel": True},
    "symmetric int8": {"activation_type": S8, "weight_type": S8, "extra_options": {"ActivationSymmetric": True}},
    "uint16": {"activation_type": U16, "weight_type": S8},
}


class Samples(ortq.CalibrationDataReader):
    """The calibration samples as one batch."""

    def __init__(self):
        self.batches = iter([{"x": X}])

    def get_next(self):
        return next(self.batches, None)


@functools.cache
def quantised(name, text=RESIDUAL, form=ortq.QuantFormat.QDQ):
    """The network, quantised; opset 21 has quantisers of 16 bits."""
    model = parse(text, 21, **WEIGHTS)
    model.ir_version = 10
    with tempfile.TemporaryDirectory() as folder:
        ortq.quantize_static(model, f"{folder}/q.onnx", Samples(), quant_format=form, **SETTINGS[name])
        return onnx.load(f"{folder}/q.onnx")


def as_written(model, x=TEST):
    """Its output, node by node."""
    return EquivalenceCheck(model, {"x": x}, as_written=True).reference["y"]


@functools.cache
def artifact_of(name, **options):
    return spikec.compile(quantised(name), calibration=X, **{"steps": 64, **options})


@pytest.mark.parametrize("granularity", ["composite", "strict"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_level_is_the_quantised_network(name, granularity):
    levels = artifact_of(name, granularity=granularity).levels
    assert levels.distances["canonical/OpenQuantisation"] == 0 == levels.distances["canonical/FoldConstants"]
    assert max(levels.distances.values()) < 1e-6 and not levels.warnings
    assert relative_distance(as_written(levels.neurons), as_written(quantised(name))) == 0
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in levels.neurons.graph.node}


@pytest.mark.parametrize("granularity", ["composite", "strict"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_artifact_comes_near_the_quantised_network(name, granularity):
    found = Session(artifact_of(name, granularity=granularity).model).run(TEST).final["y"]
    assert relative_distance(found, as_written(quantised(name))) < 0.05


@pytest.mark.parametrize("quantisation", ["staircase", "drop"])
@pytest.mark.parametrize("name", ["uint8", "int8 per channel"])
@pytest.mark.parametrize("granularity", ["composite", "strict"])
def test_the_artifact_equals_the_oracle(name, granularity, quantisation):
    artifact = artifact_of(name, granularity=granularity, quantisation=quantisation, steps=12)
    oracle = Oracle.of(artifact)
    stream = Session(artifact.model, precision="float64").stream({"x": TEST})
    for step, (outputs, spikes) in zip(stream, oracle.run({"x": TEST}), strict=True):
        for neuron, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[neuron], expected, err_msg=f"{neuron} at step {step.t}")
        assert relative_distance(step.outputs["y"], outputs["y"]) < 1e-9


def test_a_relu_and_its_staircase_are_one_neuron():
    """Where quantize_static leaves the Relu: a symmetric range has negative numbers too, and a pair before the Relu."""
    functions = [row["function"].rpartition("_")[0] for row in artifact_of("symmetric int8").manifest["neurons"]]
    assert functions == ["Round_Mul_Clip", "Round_Mul_Clip_Relu", "Round_Mul_Clip", "Round_Mul_Clip_Relu", "MaxPool"]
    folded = [row["function"] for row in artifact_of("uint8").manifest["neurons"]]
    assert not any("Relu" in function for function in folded)


@pytest.mark.parametrize("name", SETTINGS)
def test_drop_moves_the_outputs_to_those_of_the_network_in_float(name):
    artifact = artifact_of(name, quantisation="drop")
    network, moved = artifact.levels.neurons, artifact.levels.distances["canonical/OpenQuantisation"]
    distance = relative_distance(as_written(network, X[:4]), as_written(quantised(name), X[:4]))
    assert 0 < moved == pytest.approx(distance, rel=1e-3)
    (warning,) = artifact.warnings
    assert f"the outputs move by {moved:.2g} (relative L2 on 4 samples)" in warning and "--quantisation drop" in warning
    assert artifact.manifest["warnings"] == artifact.warnings and artifact.manifest["options"]["quantisation"] == "drop"
    floats = as_written(parse(RESIDUAL, 21, **WEIGHTS))
    assert 0 < relative_distance(as_written(network), floats) < 0.02
    assert "Round" not in str(network) and len(artifact.manifest["neurons"]) < 6
    assert relative_distance(Session(artifact.model).run(TEST).final["y"], as_written(network)) < 0.05


def test_quantised_convolutions_are_made_in_float_and_the_warning_says_how_far_off_that_is():
    model = quantised("uint8 per channel", PLAIN, ortq.QuantFormat.QOperator)
    assert count(model, "QLinearConv") == 2
    artifact = spikec.compile(model, calibration=X, steps=64)
    (warning,) = artifact.warnings
    moved = artifact.levels.distances["canonical/OpenQuantisedArithmetic"]
    assert warning.startswith("sums of quantised integers are made in float") and f"{moved:.2g}" in warning
    assert moved < 0.01 and artifact.levels.distances["canonical/OpenQuantisation"] == 0
    assert relative_distance(Session(artifact.model).run(TEST).final["y"], as_written(model)) < 0.05


def test_operators_of_onnxruntime_itself_are_refused_with_the_way_out():
    with pytest.raises(ModelError, match=r"QLinearAdd.*com\.microsoft.*QuantFormat\.QDQ"):
        spikec.compile(quantised("uint8", form=ortq.QuantFormat.QOperator), calibration=X)


def test_the_plan_names_the_quantisers():
    fates = {node.name: node for node in spikec.plan(quantised("uint8")).nodes}
    assert fates["r_QuantizeLinear"].fate == "neuron"
    assert (fates["r_DequantizeLinear"].fate, fates["r_DequantizeLinear"].detail) == (
        "neuron",
        "part of r_QuantizeLinear",
    )
    assert fates["k1_DequantizeLinear"].fate == "constant" and fates["y_QuantizeLinear"].fate == "readout"
    dropped = {node.name: node for node in spikec.plan(quantised("uint8"), quantisation="drop").nodes}
    assert dropped["x_QuantizeLinear"].fate != "neuron" and dropped["r_QuantizeLinear"].fate == "neuron"


def test_an_output_of_integers_is_a_readout():
    text = """g (float[N, 4] x) => (uint8[N, 3] y) {
        a = MatMul(x, w) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, s, z)
        b = MatMul(d, v) y = QuantizeLinear(b, s, z) }"""
    extra = {"s": scalar(0.05), "z": np.array(100, np.uint8), "w": normal(4, 6), "v": normal(6, 3, seed=1) / 3}
    model, x = parse(text, **extra), normal(32, 4, seed=2)
    artifact = spikec.compile(model, calibration=x, steps=64)
    found = Session(artifact.model).run(x).final["y"]
    expected = EquivalenceCheck(model, {"x": x}, as_written=True).reference["y"]
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).mean() < 2


MLP = "g (float[N, 4] x) => (float[N, 3] y) {{ a = MatMul(x, w) {} y = MatMul(d, v) }}"


def test_a_weight_that_differs_in_its_last_bit_is_the_same_network_and_a_lost_round_is_not():
    """x * w / s lies half-way between two integers: the last bit of w decides."""
    w, v, x = np.full((4, 6), 0.125, np.float32), normal(6, 3), normal(3, 4) * 8
    x[0], stairs = 1, "b = Div(a, one) d = Round(b)"
    model = parse(MLP.format(stairs), w=w, v=v, one=scalar(1))
    nearly = parse(MLP.format(stairs), w=np.nextafter(w, np.float32(1)), v=v, one=scalar(1))
    lost = parse(MLP.format("d = Div(a, one)"), w=w, v=v, one=scalar(1))
    with pytest.raises(InternalError):
        EquivalenceCheck(model, {"x": x}, as_written=True)(nearly, "the last bit")
    check = EquivalenceCheck(model, {"x": x}, read=without_rounding)
    assert check(nearly, "the last bit") < 1e-6
    with pytest.raises(InternalError, match="a pass"):
        check(lost, "a pass")


TYPES = {
    "int8": (np.int8, 13, {}), "uint8": (np.uint8, 13, {}), "int16": (np.int16, 21, {}), "int4": ("INT4", 21, {}),
    "uint4": ("UINT4", 21, {}), "float8e4m3fn": ("FLOAT8E4M3FN", 19, {}), "blocks": (np.int8, 21, {"block_size": 2}),
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "quantised in the graph"])
def test_weights_are_dequantised_at_compile_time(kind, stored):
    dtype, opset, attrs = TYPES[kind]
    dtype = helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, dtype)) if isinstance(dtype, str) else dtype
    scale = normal(2, 5, seed=1) ** 2 + 0.2 if attrs else normal(5, seed=1) ** 2 + 0.2
    w = np.abs(normal(4, 5) * 2).astype(np.float32)
    axis = ", ".join(f"{key} = {value}" for key, value in {"axis": 0 if attrs else 1, **attrs}.items())
    first = "" if stored else f"q = QuantizeLinear<{axis}>(k, s, z)"
    text = f"""g (float[N, 4] x) => (float[N, 3] y) {{
        {first} d = DequantizeLinear<{axis}>(q, s, z) a = MatMul(x, d) h = Relu(a) y = MatMul(h, v) }}"""
    given = {"q": w.astype(dtype)} if stored else {"k": w}
    model = parse(text, opset, s=scale, z=np.zeros(scale.shape, dtype), v=normal(5, 3), **given)
    levels = spikec.compile(model, calibration=normal(8, 4), steps=4).levels
    assert max(levels.distances.values()) == 0
    assert [node.op_type for node in levels.neurons.graph.node] == ["MatMul", "Relu", "MatMul"]


def test_drop_on_the_command_line_warns(cli: Run, folder):
    onnx.save(quantised("uint8"), "q.onnx")
    np.savez("x.npz", x=X[:8])
    outcome = cli("compile q.onnx -o out.onnx -T 4 --calibration x.npz --quantisation drop")
    assert outcome.code == 0 and "warning: quantised activations are left in float" in outcome.err
    assert cli("plan q.onnx --quantisation drop --json").code == 0
    assert cli("compile q.onnx -o out.onnx -T 4 --calibration x.npz").err.count("float") == 0
