import numpy as np
import pytest

from spikec.passes import FoldBatchNorm
from tests.models.graphs import keeps_outputs, normal, operators, parse, reasons, run_pass

CHANNELS = 4
NORM = {
    "s": normal(CHANNELS, seed=1),
    "t": normal(CHANNELS, seed=2),
    "m": normal(CHANNELS, seed=3),
    "v": normal(CHANNELS, seed=4) ** 2 + 0.1,
}
IMAGE = {"x": normal(2, 3, 5, 5)}
ROW = {"x": normal(2, 3)}
K = normal(CHANNELS, 3, 3, 3)
BIAS = normal(CHANNELS, seed=5)


def image_model(weighted, **constants):
    text = f"g (float[N, 3, 5, 5] x) => (float[N, {CHANNELS}, H, W] y) {{ {weighted} y = Relu(b) }}"
    return parse(text, **NORM, **constants)


def row_model(weighted, **constants):
    text = f"g (float[N, 3] x) => (float[N, {CHANNELS}] y) {{ {weighted} y = Relu(b) }}"
    return parse(text, **NORM, **constants)


@pytest.mark.parametrize("epsilon", ["", "<epsilon = 0.1>"])
@pytest.mark.parametrize("inputs", ["x, w", "x, w, c"])
@pytest.mark.parametrize(
    ("op", "weight"),
    [
        ("Conv<pads = [1, 1, 1, 1]>", K),
        ("Conv<strides = [2, 2]>", K),
        ("ConvTranspose", normal(3, CHANNELS, 2, 2)),
    ],
)
def test_folded_into_a_convolution(op, weight, inputs, epsilon):
    model = image_model(
        f"[conv] a = {op}({inputs}) [norm] b = BatchNormalization{epsilon}(a, s, t, m, v)", w=weight, c=BIAS
    )
    folded, record = keeps_outputs(FoldBatchNorm(), model, IMAGE)
    assert operators(folded) == sorted([op.split("<")[0], "Relu"])
    assert record.rewrote == ["norm"]
    assert record.absorbed == {"b": "conv"}


def test_folded_into_a_convolution_that_leaves_its_bias_out_by_an_empty_name():
    model = image_model("a = Conv(x, w) b = BatchNormalization(a, s, t, m, v)", w=K)
    model.graph.node[0].input.append("")
    folded, _ = keeps_outputs(FoldBatchNorm(), model, IMAGE)
    assert operators(folded) == ["Conv", "Relu"]


def test_folded_into_a_grouped_convolution():
    model = parse(
        "g (float[N, 4, 5] x) => (float[N, 4, L] y) { a = Conv<group = 2>(x, w) b = BatchNormalization(a, s, t, m, v) "
        "y = Relu(b) }",
        w=normal(4, 2, 3),
        **NORM,
    )
    folded, _ = keeps_outputs(FoldBatchNorm(), model, {"x": normal(2, 4, 5)})
    assert operators(folded) == ["Conv", "Relu"]


@pytest.mark.parametrize(
    ("gemm", "weight", "bias"),
    [
        ("Gemm(x, w)", normal(3, CHANNELS), BIAS),
        ("Gemm(x, w, c)", normal(3, CHANNELS), BIAS),
        ("Gemm(x, w, c)", normal(3, CHANNELS), BIAS[:1]),
        ("Gemm(x, w, c)", normal(3, CHANNELS), BIAS[0]),
        ("Gemm<transB = 1>(x, w, c)", normal(CHANNELS, 3), BIAS),
        ("Gemm<alpha = 0.5, beta = 2.0>(x, w, c)", normal(3, CHANNELS), BIAS),
        ("Gemm<alpha = -2.0, beta = 0.0, transB = 1>(x, w, c)", normal(CHANNELS, 3), BIAS),
    ],
)
def test_folded_into_a_gemm(gemm, weight, bias):
    model = row_model(f"a = {gemm} b = BatchNormalization(a, s, t, m, v)", w=weight, c=np.asarray(bias))
    folded, _ = keeps_outputs(FoldBatchNorm(), model, ROW)
    assert operators(folded) == ["Gemm", "Relu"]


def test_two_norms_with_shared_weights_are_folded_apart():
    text = """g (float[N, 3, 5, 5] x) => (float[N, 4, H, W] y) {
      a = Conv(x, w, c) b = BatchNormalization(a, s, t, m, v)
      d = Conv(x, w, c) e = BatchNormalization(d, t, s, m, v) y = Sub(b, e)
    }"""
    folded, record = keeps_outputs(FoldBatchNorm(), parse(text, **NORM, w=K, c=BIAS), IMAGE)
    assert operators(folded) == ["Conv", "Conv", "Sub"]
    assert len(record.rewrote) == 2


def test_a_norm_of_a_norm_is_folded_twice():
    text = "a = Conv(x, w) n = BatchNormalization(a, s, t, m, v) b = BatchNormalization(n, t, s, m, v)"
    folded, record = keeps_outputs(FoldBatchNorm(), image_model(text, w=K), IMAGE)
    assert operators(folded) == ["Conv", "Relu"]
    assert len(record.rewrote) == 2


NOT_BEFORE = "no Conv, ConvTranspose or Gemm right before it"
COMPUTED = "its parameters or the weights before it are computed"
TAKE = "[norm] b = BatchNormalization(a, s, t, m, v)"


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (f"z = Conv(x, w) a = Relu(z) {TAKE}", NOT_BEFORE),
        (f"i = Concat<axis = 1>(x, x) a = Slice(i, start, end, axis) {TAKE}", NOT_BEFORE),
        (f"[conv] a = Conv(x, w) {TAKE} z = Relu(a)", "the output of conv is used elsewhere too"),
        (f"a = ConvTranspose<group = 3>(x, grouped) {TAKE}", "grouped ConvTranspose"),
        (f"k = Neg(w) a = Conv(x, k) {TAKE}", COMPUTED),
        (f"k = Neg(c) a = Conv(x, w, k) {TAKE}", COMPUTED),
        ("a = Conv(x, w) k = Neg(s) [norm] b = BatchNormalization(a, k, t, m, v)", COMPUTED),
    ],
)
def test_refusals_in_images(nodes, reason):
    model = image_model(
        nodes, w=K, c=BIAS, grouped=normal(3, 2, 1, 1), start=np.array([0]), end=np.array([4]), axis=np.array([1])
    )
    if "grouped" in nodes:
        model = parse(
            f"g (float[N, 3, 5, 5] x) => (float[N, 6, 5, 5] y) {{ {nodes} y = Relu(b) }}",
            grouped=normal(3, 2, 1, 1),
            **{k: np.concatenate([a, a[:2]]) for k, a in NORM.items()},
        )
    folded, record = keeps_outputs(FoldBatchNorm(), model, IMAGE)
    assert reasons(record) == {"norm": reason}
    assert record.rewrote == []
    assert "BatchNormalization" in operators(folded)


def test_refused_where_the_output_before_it_is_an_output():
    text = f"""g (float[N, 3, 5, 5] x) => (float[N, 4, H, W] y, float[N, 4, H, W] a) {{
      [conv] a = Conv(x, w) {TAKE} y = Relu(b)
    }}"""
    _, record = keeps_outputs(FoldBatchNorm(), parse(text, w=K, **NORM), IMAGE)
    assert reasons(record) == {"norm": "the output of conv is used elsewhere too"}


def test_refused_where_its_output_is_an_output():
    text = """g (float[N, 3, 5, 5] x) => (float[N, 4, H, W] y) {
      a = Conv(x, w) [norm] y = BatchNormalization(a, s, t, m, v)
    }"""
    _, record = keeps_outputs(FoldBatchNorm(), parse(text, w=K, **NORM), IMAGE)
    assert reasons(record) == {"norm": "its output is an output of the graph, whose name must stay"}


def test_refused_behind_a_gemm_that_adds_a_matrix():
    _, record = keeps_outputs(
        FoldBatchNorm(), row_model(f"a = Gemm(x, w, c) {TAKE}", w=normal(3, 4), c=normal(2, 4)), ROW
    )
    assert reasons(record) == {"norm": "the Gemm before it adds a matrix"}


def test_refused_at_an_input_of_the_graph():
    text = f"g (float[N, 4] a) => (float[N, 4] y) {{ {TAKE} y = Relu(b) }}"
    _, record = keeps_outputs(FoldBatchNorm(), parse(text, **NORM), {"a": normal(2, 4)})
    assert reasons(record) == {"norm": NOT_BEFORE}


def test_refused_in_training_mode():
    text = f"""g (float[N, 3, 5, 5] x) => (float[N, {CHANNELS}, H, W] y) {{
      a = Conv(x, w) [norm] b, mean, variance = BatchNormalization<training_mode = 1>(a, s, t, m, v) y = Relu(b)
    }}"""
    _, record = run_pass(FoldBatchNorm(), parse(text, w=K, **NORM))
    assert reasons(record) == {"norm": "it is in training mode: it normalises by the batch at hand"}
