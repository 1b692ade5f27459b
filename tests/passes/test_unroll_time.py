import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from spikec.passes import UnrollTime, UnsupportedNode
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, run_pass

YES = {"yes": np.array(True)}
GO = "go = Identity(c)"


def loop_model(states, body, *, outputs=None, steps=3, inputs="m, yes", **constants):
    """A Loop over ``states`` (each starts from x, z or k); ``body`` computes their next values, called NAME_next."""
    given = ", ".join(["int64 t, bool c", *(f"float[A, B] {name}" for name in states)])
    after = outputs or [f"{name}_next" for name in states]
    results = ", ".join(f"float[A, B] {name}" for name in after)
    finals = ", ".join(f"y{i}" for i in range(len(after)))
    body = f"step ({given}) => (bool go, {results}) {{ {body} }}"
    loop = f"{finals} = Loop<body = {body}>({', '.join([inputs, *states.values()])})"
    signature = ", ".join(f"float[N, 2] y{i}" for i in range(len(after)))
    text = f"g (float[N, 2] x, float[N, 2] z) => ({signature}) {{ h = Neg(x) [loop] {loop} }}"
    return parse(text, m=np.array(steps), k=normal(1, 2), **YES, **constants)


FEEDS = {"x": normal(3, 2), "z": normal(3, 2, seed=1)}


def unrolled(*args, **kwargs):
    model, record = keeps_outputs(UnrollTime(), loop_model(*args, **kwargs), FEEDS)
    assert count(model, "Loop") == 0
    assert record.rewrote == ["loop"]
    return model


def test_one_copy_of_the_body_for_each_step_with_the_step_in_its_names():
    model = unrolled({"a": "x"}, f"a_next = Tanh(a) {GO}", steps=4)
    assert operators(model) == ["Identity"] + ["Tanh"] * 4
    assert [node.output[0] for node in model.graph.node][:4] == [f"a_next@{t}" for t in range(4)]


def test_no_step_at_all():
    assert operators(unrolled({"a": "x"}, f"a_next = Tanh(a) {GO}", steps=0)) == ["Identity"]


def test_the_clock_counts_from_zero():
    unrolled({"a": "x"}, f"f = Cast<to = 1>(t) a_next = Add(a, f) {GO}")
    unrolled({"a": "x"}, f"e = Gather(table, t) a_next = Mul(a, e) {GO}", table=normal(3))


def test_the_clock_is_a_number_and_not_a_vector():
    model = unrolled({"a": "x"}, f"f = Cast<to = 1>(t) a_next = Add(a, f) {GO}")
    assert {tuple(t.dims) for t in model.graph.initializer if t.name.startswith("t@")} == {()}


def test_states_may_swap_places():
    unrolled({"a": "x", "b": "z"}, GO, outputs=["b", "a"])
    unrolled({"a": "x", "b": "z"}, f"n = Neg(b) {GO}", outputs=["n", "a"], steps=5)


def test_a_state_may_be_passed_through_or_be_used_by_others_only():
    unrolled({"a": "x", "b": "z"}, f"a_next = Sub(a, b) {GO}", outputs=["a_next", "b"])


def test_tensors_of_the_outer_graph_are_shared():
    model = unrolled({"a": "x"}, f"s = Mul(h, k) u = Add(a, s) a_next = Sub(u, z) {GO}")
    assert count(model, "Neg") == 1
    assert count(model, "Mul") == 3


def test_a_state_that_starts_from_a_constant():
    unrolled({"a": "k"}, f"a_next = Add(a, x) {GO}")


def test_constants_of_the_body():
    unrolled({"a": "x"}, f"two = Constant<value_float = 2.0>() a_next = Mul(a, two) {GO}")


@pytest.mark.parametrize("go", [GO, "w = Identity(c) go = Identity(w)", "go = Constant<value = bool {1}>()"])
@pytest.mark.parametrize("inputs", ["m, yes", "m, "])
def test_conditions_that_never_stop(go, inputs):
    unrolled({"a": "x"}, f"a_next = Tanh(a) {go}", inputs=inputs)


def test_two_loops_one_behind_the_other():
    body = """(int64 {0}t, bool {0}c, float[A, B] {0}a) => (bool {0}go, float[A, B] {0}n) {{
      {0}n = Tanh({0}a) {0}go = Identity({0}c)
    }}"""
    first, second = (f"Loop<body = b {body.format(prefix)}>" for prefix in ("p", "q"))
    text = f"g (float[N, 2] x, float[N, 2] z) => (float[N, 2] y) {{ a = {first}(m, yes, x) y = {second}(m, yes, a) }}"
    model, record = keeps_outputs(UnrollTime(), parse(text, m=np.array(2), **YES), FEEDS)
    assert count(model, "Tanh") == 4 and len(record.rewrote) == 2


def refusal(model):
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(UnrollTime(), model)
    assert refused.value.node == "loop"
    return refused.value.reason, refused.value.way_out


def test_a_computed_trip_count_is_refused():
    model = loop_model({"a": "x"}, f"a_next = Tanh(a) {GO}", inputs="rows, yes")
    rows = parse("g (float[N, 2] x) => (int64[1] rows) { rows = Shape<start = 1>(x) }").graph.node[0]
    model.graph.node.insert(0, rows)
    assert refusal(model) == ("its trip count is computed", "unroll only loops of a fixed length")


def test_no_trip_count_is_refused():
    assert refusal(loop_model({"a": "x"}, f"a_next = Tanh(a) {GO}", inputs=", yes"))[0] == "its trip count is computed"


def test_scan_outputs_are_refused():
    model = loop_model({"a": "x"}, f"a_next = Tanh(a) s = Neg(a) {GO}", outputs=["a_next", "s"])
    assert refusal(model) == ("it collects scan outputs", "return states only")


@pytest.mark.parametrize(
    "go",
    [
        "go = Not(c)",
        "go = Constant<value = bool {0}>()",
        "s = ReduceSum<keepdims = 0>(a) z0 = Sub(s, s) go = Less(z0, s)",
    ],
)
def test_a_loop_that_may_stop_early_is_refused(go):
    reason, way_out = refusal(loop_model({"a": "x"}, f"a_next = Tanh(a) {go}"))
    assert (reason, way_out) == ("it has a condition to stop early", "unroll loops that run to their end")


def test_a_loop_that_may_not_start_is_refused():
    model = loop_model({"a": "x"}, f"a_next = Tanh(a) {GO}", inputs="m, no", no=np.array(False))
    assert refusal(model)[0] == "it has a condition to stop early"


@st.composite
def bodies(draw):
    """States with where they start, the body's nodes, and which tensors are the next states."""
    states = {f"s{i}": draw(st.sampled_from(["x", "z"])) for i in range(draw(st.integers(1, 3)))}
    tensors = [*states, "x", "h", "k", "f"]  # own states, tensors of the outer graph, the clock
    nodes, inner = ["i = Cast<to = 1>(t) f = Add(x, i)", GO], []
    for i in range(draw(st.integers(1, 5))):
        left, right = draw(st.sampled_from(tensors + inner)), draw(st.sampled_from(tensors + inner))
        op = draw(st.sampled_from(["Add({0}, {1})", "Sub({0}, {1})", "Max({0}, {1})", "Tanh({0})", "Sin({1})"]))
        nodes.append(f"n{i} = {op.format(left, right)}")
        inner.append(f"n{i}")
    after = draw(st.permutations([*states, *inner]))[: len(states)]
    return states, " ".join(nodes), after


@settings(max_examples=100, deadline=None)
@given(bodies(), st.integers(0, 4))
def test_random_bodies(case, steps):
    states, body, after = case
    unrolled(states, body, outputs=after, steps=steps)
