import hypothesis.strategies as st
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import given, settings

from spikec.onnx_session import run_model, with_outputs
from spikec.passes import FuseElementwise, FuseRows, PlaceNeurons
from spikec.passes.graph_io import import_graph
from spikec.passes.operators import FUNCTION_DOMAIN, is_elementwise, is_reduction, is_row_function, neuron_kind
from tests.models.graphs import (
    count,
    ints,
    keeps_outputs,
    normal,
    operators,
    parse,
    reasons,
    run_pass,
    same_outputs,
    scalar,
    with_ranks,
)

CONSTANTS = {
    "w": normal(4, 5, seed=3),
    "last": ints(-1),
    "both": ints(1, 2),
    "first": ints(1),
    "zero": ints(0),
    "eps": scalar(1e-5),
    "least": scalar(1e-12),
    "two": scalar(2),
    "neg": scalar(-0.5),
    "one": scalar(1),
    "many": scalar(4 / 3),
    "gamma": normal(4, seed=4),
    "beta": normal(4, seed=5),
    "wide": normal(2, 3, 4, seed=6),
    "tall": normal(6, 1, seed=7),
    "unit": ints(0, 3, 1),
    "open": ints(-1, 3, 1),
}
FEEDS = {"x": normal(2, 3, 4), "z": normal(2, 3, 4, seed=1)}
X = {"x": FEEDS["x"]}

CENTRE = "m = ReduceMean(x, last) c = Sub(x, m)"
VARIANCE = "v = ReduceMean(q, last) u = Add(v, eps)"
STABLE = "h = ReduceMax(x, last) d = Sub(x, h) e = Exp(d) t = ReduceSum(e, last)"
RMS = f"q = Mul(x, x) {VARIANCE} r = Sqrt(u)"
KERAS = f"{CENTRE} q = Mul(c, c) {VARIANCE} r = Sqrt(u) i = Reciprocal(r)"

# name -> what the row is made of, and what stays outside beside the MatMul
ROWS = {
    "softmax": (f"{STABLE} a = Div(e, t)", []),
    "softmax without max": ("e = Exp(x) t = ReduceSum(e, last) a = Div(e, t)", []),
    "softmax by a reciprocal": (f"{STABLE} r = Reciprocal(t) a = Mul(e, r)", []),
    "softmax of a scaled input": ("s = Mul(x, two) e = Exp(s) t = ReduceSum(e, last) a = Div(e, t)", ["Mul"]),
    "log softmax": (f"{STABLE} l = Log(t) a = Sub(d, l)", []),
    "log softmax without max": ("e = Exp(x) t = ReduceSum(e, last) l = Log(t) a = Sub(x, l)", []),
    "layer norm": (f"{CENTRE} q = Mul(c, c) {VARIANCE} r = Sqrt(u) a = Div(c, r)", ["ReduceMean", "Sub"]),
    "layer norm, power and parameters": (
        f"{CENTRE} q = Pow(c, two) {VARIANCE} r = Sqrt(u) n = Div(c, r) g = Mul(n, gamma) a = Add(g, beta)",
        ["Add", "Mul", "ReduceMean", "Sub"],
    ),
    "layer norm, centred twice": (
        f"{CENTRE} m2 = ReduceMean(x, last) c2 = Sub(x, m2) q = Mul(c2, c2) {VARIANCE} r = Sqrt(u) a = Div(c, r)",
        [],
    ),
    "unbiased variance": (
        f"{CENTRE} q = Mul(c, c) v = ReduceMean(q, last) b = Mul(v, many) r = Sqrt(b) u = Add(r, eps) a = Div(c, u)",
        ["ReduceMean", "Sub"],
    ),
    "rms norm": (f"{RMS} a = Div(x, r)", []),
    "rms norm by a reciprocal": (f"{RMS} i = Reciprocal(r) a = Mul(x, i)", []),
    "rms norm by one over": (f"{RMS} i = Div(one, r) a = Mul(x, i)", []),
    "rms norm by a power": (f"q = Pow(x, two) {VARIANCE} i = Pow(u, neg) a = Mul(i, x)", []),
    "rms norm, mean taken apart": (
        "q = ReduceSumSquare(x, last) v = Mul(q, many) u = Add(v, eps) r = Sqrt(u) a = Div(x, r)",
        [],
    ),
    "l2 norm": ("n = ReduceL2(x, last) b = Clip(n, least) s = Shape(x) f = Expand(b, s) a = Div(x, f)", []),
    "l1 norm": ("n = ReduceL1(x, last) b = Max(n, least) a = Div(x, b)", []),
    "largest norm": ("p = Abs(x) n = ReduceMax(p, last) a = Div(x, n)", []),
    "grn": ("n = ReduceL2(x, first) m = ReduceMean(n, last) u = Add(m, eps) s = Div(n, u) a = Mul(x, s)", []),
    "grn, all of it": (
        "n = ReduceL2(x, first) m = ReduceMean(n, last) u = Add(m, eps) s = Div(n, u) p = Mul(x, s) "
        "g = Mul(p, gamma) b = Add(g, beta) a = Add(x, b)",
        ["Add", "Add", "Mul"],
    ),
    "group of axes": (
        "q = Mul(x, x) v = ReduceMean(q, both) u = Add(v, eps) r = Sqrt(u) a = Div(x, r)",
        [],
    ),
    "gate by the mean": ("m = ReduceMean(x, last) s = Sigmoid(m) a = Mul(x, s)", []),
    "simam": (
        f"{CENTRE} q = Mul(c, c) v = ReduceMean(q, last) u = Add(v, eps) i = Div(q, u) s = Sigmoid(i) a = Mul(x, s)",
        [],
    ),
    "keras layer norm": (f"{KERAS} g = Mul(i, gamma) p = Mul(x, g) n = Mul(m, g) b = Sub(beta, n) a = Add(p, b)", []),
    "keras layer norm, mean negated": (
        f"{KERAS} g = Mul(gamma, i) o = Neg(m) n = Mul(o, g) b = Add(n, beta) p = Mul(x, g) a = Add(b, p)",
        [],
    ),
    "keras layer norm without scale": (f"{KERAS} n = Mul(m, i) b = Sub(beta, n) p = Mul(x, i) a = Add(p, b)", []),
    "keras layer norm without centre": (f"{KERAS} g = Mul(i, gamma) n = Mul(m, g) p = Mul(x, g) a = Sub(p, n)", []),
    "keras layer norm, axes turned by a reshape": (
        f"{CENTRE.replace('Sub(x, m)', 'Sub(x, m1)').replace(' c', ' m1 = Reshape(m, unit) c')} q = Mul(c, c) "
        f"{VARIANCE} r = Sqrt(u) i = Reciprocal(r) g = Mul(i, gamma) n = Mul(m, g) p = Mul(x, g) a = Sub(p, n)",
        [],
    ),
    "scale on the deviation": (
        f"{KERAS} g = Mul(i, gamma) n = Mul(c, g) a = Add(n, beta)",
        ["Add", "ReduceMean", "Sub"],
    ),
    "above the mean": ("m = ReduceMean(x, last) c = Greater(x, m) a = Where(c, x, eps)", []),
    "squeezed and unsqueezed": (
        "q = Mul(x, x) v = ReduceMean<keepdims = 0>(q, last) k = Mul(v, many) k1 = Unsqueeze(k, last) u = Add(k1, eps) "
        "r = Sqrt(u) a = Div(x, r)",
        [],
    ),
    "kept and squeezed and unsqueezed": (
        "n = ReduceL2(x, last) s = Squeeze(n, last) u = Add(s, eps) k = Unsqueeze(u, last) a = Div(x, k)",
        [],
    ),
    "activation before and behind": (f"g = Gelu(x) {RMS.replace('x', 'g')} n = Div(g, r) a = Relu(n)", []),
    "activation of norm and parameters": (f"{RMS} n = Div(x, r) g = Mul(n, gamma) b = Add(g, beta) a = Tanh(b)", []),
    "two rows": (f"{RMS} n = Div(x, r) e = Exp(n) t = ReduceSum(e, last) a = Div(e, t)", []),
    "two branches": (f"f = Tanh(x) {STABLE} n = Div(e, t) a = Add(n, f)", []),
    "of a reduced tensor": ("g = ReduceMean(x, first) e = Exp(g) t = ReduceSum(e, last) a = Div(e, t)", ["ReduceMean"]),
}


def model_of(nodes, inputs=("x", "z"), outputs=("y",), **more):
    signature = ", ".join(f"float[N, 3, 4] {name}" for name in inputs)
    results = ", ".join(f"float[] {name}" for name in outputs)
    tail = "" if "y = " in nodes or "y0 = " in nodes else "y = MatMul(a, w)"
    model = parse(f"g ({signature}) => ({results}) {{ {nodes} {tail} }}", **{**CONSTANTS, **more})
    return with_ranks(model, {name: FEEDS[name] for name in inputs})


def fused(nodes, **options):
    return keeps_outputs(FuseRows(), model_of(nodes, **options), FEEDS)


def rows(model):
    return [node for node in model.graph.node if is_row_function(node.op_type, node.domain)]


def neurons(model):
    """Kind and number of values of every neuron node."""
    nodes = [node for node in model.graph.node if node.domain == "spikec"]
    found = [{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in nodes]
    return [(attrs["kind"], attrs["values"]) for attrs in found]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_becomes_one_function_of_one_tensor(name):
    nodes, outside = ROWS[name]
    model, record = fused(nodes)
    (call,) = rows(model)
    assert operators(model) == sorted([f"{FUNCTION_DOMAIN}::{call.op_type}", "MatMul", *outside])
    (function,) = model.functions
    assert function.name == call.op_type and {node.domain for node in function.node} == {""}
    assert call.name in record.rewrote and record.skipped == []


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_one_neuron_with_one_input(name):
    model, _ = fused(ROWS[name][0])
    again, record = keeps_outputs(FuseElementwise(), model, FEEDS)
    assert record.rewrote == [], "a row is nothing that an elementwise chain could take in"
    placed, _ = keeps_outputs(PlaceNeurons(), again, FEEDS)
    assert neurons(placed) == [(b"row", 1)]


NO_ROWS = {
    "a chain without a way back": "r = Relu(x) m = ReduceMean(r, last) s = Sigmoid(m) a = Mul(s, gamma)",
    "an affine diamond": f"{CENTRE} a = Mul(c, gamma)",
    "a nonlinearity of an affine diamond": f"{CENTRE} a = Relu(c)",
    "a maximum that is subtracted": "h = ReduceMax(x, last) a = Sub(x, h)",
    "two extremes that are subtracted": "h = ReduceMax(x, last) l = ReduceMin(x, last) d = Sub(x, h) a = Sub(d, l)",
    "a sum with a reduced nonlinearity": "h = ReduceMax(x, last) s = Sigmoid(h) a = Add(x, s)",
    "a sum with a reduced tensor of another tensor": "h = ReduceL2(z, last) a = Sub(x, h)",
    "no reduction at all": "s = Sigmoid(x) a = Mul(x, s)",
    "weights in the way back": "m = ReduceMax(x, last) k = MatMul(m, q) s = Sigmoid(k) a = Mul(x, s)",
}


@pytest.mark.parametrize("name", NO_ROWS)
def test_what_is_no_row_stays_as_it_is(name):
    model = model_of(NO_ROWS[name], q=normal(1, 4))
    after, record = keeps_outputs(FuseRows(), model, FEEDS)
    assert operators(after) == operators(model)
    assert record.rewrote == [] and record.skipped == []


REFUSED = {
    "two tensors": ("n = ReduceL2(z, last) a = Div(x, n)", "it starts from several tensors: x, z"),
    "a binary neuron before it": (
        "p = Mul(x, z) n = ReduceL2(p, last) a = Div(x, n)",
        "it starts from several tensors: x, z",
    ),
    "weights in one branch": (
        "k = MatMul(x, q) n = ReduceL2(k, last) a = Div(x, n)",
        "it starts from several tensors: k, x",
    ),
    "a parameter that is computed": (
        "n = ReduceL2(x, last) k = Size(x) f = Cast<to = 1>(k) s = Div(n, f) a = Div(x, s)",
        "it starts from several tensors: s, x",
    ),
    "a broadcast to more than the tensor's own shape": (
        "n = ReduceL2<keepdims = 0>(x, both) r = Reshape(n, rank4) e = Expand(r, shape4) a = Mul(x, e)",
        "it starts from several tensors: e, x",
    ),
    "a constant that widens": (
        "n = ReduceL2(x, last) b = Mul(n, wide) a = Div(x, b)",
        "its output is not known to have the shape of 'x', which it starts from",
    ),
    "all pairs of a row": (
        "i = MatMul(x, column) o = Squeeze(i, last) l = Unsqueeze(o, last) c = Unsqueeze(o, first) d = Sub(l, c) "
        "b = ReduceMax(l, first) a = Div(d, b) y = MatMul(a, square)",
        "its output is not known to have the shape of 'i', which it starts from",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_match_carries_its_reason(name):
    nodes, reason = REFUSED[name]
    parameters = {"q": normal(4, 4), "column": normal(4, 1), "square": normal(3, 3)}
    model, record = fused(nodes, **parameters, rank4=ints(-1, 1, 1, 1), shape4=ints(2, 1, 1, 1))
    assert reasons(record) == {"a": reason}
    assert rows(model) == []


def test_a_root_of_unknown_rank_is_refused():
    model = model_of("i = Identity(x) n = ReduceL2(i, last) a = Div(i, n)")
    del model.graph.value_info[:]
    graph, record = FuseRows()(import_graph(model))
    assert [skip.reason for skip in record.skipped] == ["the rank of 'i', which it starts from, is not known"]
    assert [node.op for node in graph.nodes] == ["Identity", "ReduceL2", "Div", "MatMul"]


def test_a_near_miss_is_told_where_the_tensors_meet_and_nowhere_behind():
    _, record = fused("n = ReduceL2(z, last) d = Div(x, n) e = Exp(d) a = Mul(d, e)")
    assert reasons(record) == {"d": "it starts from several tensors: x, z"}


def test_the_readout_is_not_fused():
    model, record = fused(f"b = MatMul(x, q) {STABLE.replace('(x', '(b')} y = Div(e, t)", q=normal(4, 4))
    assert record.rewrote == [] and record.skipped == [] and model.functions == []


def test_a_tensor_inside_that_is_used_elsewhere_stays():
    model, record = fused("n = ReduceL2(x, last) d = Div(x, n) p = MatMul(d, w) k = MatMul(n, q) y = Add(p, k)",
                          q=normal(1, 5))  # fmt: skip
    assert record.rewrote == ["d"] and record.absorbed == {"n": "d"}
    assert operators(model)[:3] == ["Add", "MatMul", "MatMul"] and count(model, "ReduceL2") == 1


def test_an_inner_output_of_the_graph_keeps_its_name():
    model = model_of("n = ReduceL2(x, last) a = Div(x, n)", outputs=("y", "n"))
    after, _ = keeps_outputs(FuseRows(), model, FEEDS)
    assert count(after, "ReduceL2") == 1 and len(rows(after)) == 1


def test_a_row_behind_a_row_of_which_more_is_used_starts_anew_from_the_first_tensor():
    model, record = fused(f"{RMS} n = Div(x, r) e = Exp(n) t = ReduceSum(e, last) s = Div(e, t) a = Add(n, s)")
    assert record.rewrote == ["a"], "the sum of two rows is one"
    assert len(model.graph.node) == 2


def test_equal_rows_share_one_function_and_other_axes_make_another():
    once = "n = ReduceL2(x, last) d = Div(x, n) p = MatMul(d, q) k = ReduceL2(p, {axes}) a = Div(p, k)"
    assert len(fused(once.format(axes="last"), q=normal(4, 4))[0].functions) == 1
    assert len(fused(once.format(axes="both"), q=normal(4, 4))[0].functions) == 2


def test_axes_stand_in_the_body_so_that_the_rank_is_known_behind_it():
    model, _ = fused(ROWS["group of axes"][0])
    (call,) = rows(model)
    assert list(call.input) == ["x"]
    (shape,) = [info.type.tensor_type.shape for info in model.graph.value_info if info.name == "a"]
    assert len(shape.dim) == 3


def test_parameters_of_an_activation_behind_the_row_are_arguments():
    model, _ = fused(ROWS["activation of norm and parameters"][0])
    assert list(rows(model)[0].input) == ["x", "gamma", "beta"]


@pytest.mark.parametrize("pool", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pools_are_reductions(pool):
    text = f"""g (float[N, 3, 4, 5] x) => (float[N, 2, 4, 5] y) {{
      p = {pool}(x) s = Sigmoid(p) a = Mul(x, s) y = Conv(a, k) }}"""
    model, record = keeps_outputs(FuseRows(), parse(text, k=normal(2, 3, 1, 1)), {"x": normal(2, 3, 4, 5)})
    assert record.rewrote == ["a"] and len(model.graph.node) == 2


def test_running_the_pass_twice_changes_nothing():
    once, _ = fused(ROWS["softmax"][0])
    twice, record = run_pass(FuseRows(), once)
    assert record.rewrote == [] and twice.functions == once.functions
    same_outputs(once, twice, FEEDS, tolerance=0)


def test_attributes_of_older_opsets_and_the_missing_axes_of_all_axes():
    text = """g (float[2, 3, 4] x) => (float[2, 3, 5] y) {
      h = ReduceMax<axes = [-1]>(x) d = Sub(x, h) e = Exp(d) t = ReduceSum(e) n = Div(e, t) y = MatMul(n, w) }"""
    model, record = keeps_outputs(FuseRows(), parse(text, opset=17, w=CONSTANTS["w"]), X)
    assert record.rewrote == ["n"] and len(model.graph.node) == 2


def test_a_reduction_along_no_axis_reduces_nothing():
    text = """g (float[2, 3, 4] x) => (float[2, 3, 5] y) {
      m = ReduceSum<noop_with_empty_axes = 1>(x) e = Exp(m) t = ReduceSum(e, last) a = Div(e, t) y = MatMul(a, w) }"""
    model, record = keeps_outputs(FuseRows(), parse(text, w=CONSTANTS["w"], last=CONSTANTS["last"]), X)
    assert record.rewrote == ["a"] and len(model.graph.node) == 3, "the first sum is an affine head"


def test_axes_of_one_element_do_not_hide_a_row():
    text = """g (float[N, 3, 1, 1] x) => (float[N, 2, 1, 1] y) {
      n = ReduceL2<keepdims = 0>(x, space) k = Reshape(n, shape) u = Max(k, least) a = Div(x, u) y = Conv(a, w) }"""
    constants = {"space": ints(2, 3), "shape": ints(-1, 3, 1, 1), "least": scalar(1e-3), "w": normal(2, 3, 1, 1)}
    _, record = keeps_outputs(FuseRows(), parse(text, **constants), {"x": normal(2, 3, 1, 1)})
    assert record.rewrote == ["k", "a"]


def test_row_functions_are_rows_and_not_elementwise():
    row, chain = (
        gs.Node("Row_Exp_0123abcd", domain=FUNCTION_DOMAIN),
        gs.Node("Exp_Mul_0123abcd", domain=FUNCTION_DOMAIN),
    )
    assert (neuron_kind(row, {0}), neuron_kind(chain, {0})) == ("row", "unary")
    assert not is_elementwise(row.op, row.domain) and is_elementwise(chain.op, chain.domain)
    assert not is_row_function("Row_Exp_0123abcd", "") and not is_reduction("ReduceMax", FUNCTION_DOMAIN)


REDUCTIONS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"]
REDUCTIONS += ["ReduceLogSumExp", "ReduceProd"]


@st.composite
def norms(draw):
    """x / (1 + |reduction|) of a tensor of any rank along any axes, the reduced axes kept or put back in some way."""
    rank = draw(st.integers(1, 4))
    axes = draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    written = [axis - rank * draw(st.booleans()) for axis in axes]
    sizes = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    back = draw(st.sampled_from(["kept", "unsqueezed", "reshaped", "reshaped by a shape", "expanded"]))
    return draw(st.sampled_from(REDUCTIONS)), axes, written, sizes, back


def norm_model(op, axes, written, sizes, back):
    kept = [1 if i in axes else size for i, size in enumerate(sizes)]
    keep = int(back in ("kept", "expanded"))
    steps = {
        "kept": "k = Neg(r)",
        "unsqueezed": "k = Unsqueeze(r, sorted)",
        "reshaped": "k = Reshape(r, kept)",
        "reshaped by a shape": "b = Shape<end = 1>(x) c = Concat<axis = 0>(b, tail) k = Reshape(r, c)",
        "expanded": "b = Shape(x) k = Expand(r, b)",
    }
    dims = ", ".join(["N", *map(str, sizes)])
    text = f"""g (float[{dims}] x) => (float[{dims}] y) {{
      r = {op}<keepdims = {keep}>(x, axes) {steps[back]} p = Abs(k) u = Add(one, p) a = Div(x, u)
      y = Einsum<equation = "...,->...">(a, one) }}"""
    axes_array = ints(*(axis + 1 if axis >= 0 else axis for axis in written))
    return parse(
        text,
        axes=axes_array,
        sorted=ints(*sorted(axis + 1 for axis in axes)),
        kept=ints(0 if back == "reshaped" else -1, *kept),
        tail=ints(*kept),
        one=scalar(1),
    )


@settings(max_examples=120, deadline=None)
@given(norms())
def test_a_norm_of_any_rank_along_any_axes_is_a_row(case):
    _, _, _, sizes, _ = case
    model = norm_model(*case)
    after, record = keeps_outputs(FuseRows(), model, {"x": normal(3, *sizes)})
    assert record.skipped == []
    assert [is_row_function(node.op_type, node.domain) for node in after.graph.node] == [True, False]


UNARY = ["Relu({0})", "Exp({0})", "Abs({0})", "Mul({0}, gamma)", "Div({0}, two)", "Tanh({0})", "Sigmoid({0})"]
BINARY = ["Mul({0}, {1})", "Add({0}, {1})", "Sub({0}, {1})", "Max({0}, {1})"]
REDUCED = [f"{op}({{0}}, {axes})" for op in REDUCTIONS[:6] for axes in ("last", "first", "both")]


@st.composite
def dags(draw):
    """Random elementwise operators and reductions over x and z; some tensors go through a Gemm into the outputs."""
    tensors, nodes = ["z", "x"], []
    for i in range(draw(st.integers(4, 12))):
        call = draw(st.sampled_from(UNARY) | st.sampled_from(BINARY) | st.sampled_from(REDUCED))
        operands = draw(st.permutations(tensors[-3:]))
        tensors.append(f"t{i}")
        nodes.append(f"t{i} = {call.format(*operands)}")
    taken = draw(st.lists(st.sampled_from(tensors[-3:]), min_size=1, max_size=3, unique=True))
    nodes += [f'y{i} = Einsum<equation = "...,->...">({name}, one)' for i, name in enumerate(taken)]
    return " ".join(nodes), tuple(f"y{i}" for i in range(len(taken)))


@settings(max_examples=200, deadline=None)
@given(dags())
def test_random_graphs_keep_their_outputs_and_a_row_reads_one_tensor_of_its_own_shape(dag):
    nodes, outputs = dag
    model = model_of(nodes, outputs=outputs)
    after, _ = run_pass(FuseRows(), model)
    with np.errstate(all="ignore"):
        expected, found = run_model(model, FEEDS), run_model(after, FEEDS)
    for name in outputs:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-4, equal_nan=True)
    calls = rows(after)
    shapes = {name: value.shape for name, value in {**FEEDS, **values_of_tensors(after, calls)}.items()}
    for call in calls:
        assert set(call.input[1:]) <= {"gamma"}
        assert shapes[call.input[0]] == shapes[call.output[0]]


def values_of_tensors(model, calls):
    names = list(dict.fromkeys(name for node in calls for name in (node.input[0], node.output[0]) if name not in FEEDS))
    return run_model(with_outputs(model, names), FEEDS, names) if names else {}
