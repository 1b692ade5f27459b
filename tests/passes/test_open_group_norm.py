import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from spikec.passes import OpenGroupNorm, UnsupportedNode
from tests.models.graphs import count, initializer, ints, normal, parse, run_pass, same_outputs, scalar
from tests.models.opened import kinds, opened, operator_model

# two elements or more: of a single one onnxruntime itself computes x/d - x/d, rounded, with d = sqrt(epsilon)
SPATIAL = st.lists(st.integers(1, 4), min_size=1, max_size=3).filter(lambda sizes: np.prod(sizes) > 1)
UNEVEN = st.sampled_from([(), ("op",)])
EPSILON = st.sampled_from(["", "epsilon = 0.5"])


def settings_of(*parts):
    """Attributes in ONNX's text form."""
    return f"<{', '.join(filter(None, parts))}>" if any(parts) else ""


@settings(max_examples=60, deadline=None)
@given(SPATIAL, st.integers(1, 4), EPSILON, UNEVEN)
def test_instance_normalization(spatial, channels, epsilon, uneven):
    x = normal(2, channels, *spatial) * 3 + 1
    call = f"InstanceNormalization{settings_of(epsilon)}(x, s, b)"
    opened(OpenGroupNorm(uneven), call, x, s=normal(channels, seed=1), b=normal(channels, seed=2))


@settings(max_examples=100, deadline=None)
@given(SPATIAL, st.integers(1, 3), st.integers(1, 3), EPSILON, st.sampled_from([18, 20, 21, 23]), UNEVEN)
def test_group_normalization(spatial, groups, members, epsilon, opset, uneven):
    """From opset 21 on scale and bias are one value a channel, before one a group."""
    channels = groups * members
    x = normal(2, channels, *spatial) * 3 + 1
    size = channels if opset >= 21 else groups
    call = f"GroupNormalization{settings_of(f'num_groups = {groups}', epsilon)}(x, s, b)"
    opened(OpenGroupNorm(uneven), call, x, opset, s=normal(size, seed=1), b=normal(size, seed=2))


@pytest.mark.parametrize("call", ["InstanceNormalization(x, s, s)", "GroupNormalization<num_groups = 2>(x, s, s)"])
def test_neurons(call):
    model, _ = opened(OpenGroupNorm(), call, normal(2, 4, 3, 3), 21, s=normal(4))
    expected = [("Div", "binary"), ("Max", "unary"), ("Mul", "unary"), ("Sqrt", "unary")]
    assert kinds(model) == expected


def test_epsilon_is_1e_5_where_none_is_given():
    model, _ = opened(OpenGroupNorm(), "InstanceNormalization(x, s, s)", normal(2, 4, 3), s=normal(4))
    assert initializer(model, "op/epsilon") == np.float32(1e-5)


def test_a_scale_that_depends_on_the_input():
    """Adaptive instance normalisation: scale and bias of the first sample's style."""
    text = """g (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) {
      m = ReduceMean<keepdims = 0>(x, axes) s = Tanh(m) [op] a = InstanceNormalization(x, s, m) y = Conv(a, w) }"""
    model = parse(text, w=normal(2, 3, 1, 1), axes=ints(0, 2, 3))
    changed, record = run_pass(OpenGroupNorm(), model)
    assert record.rewrote == ["op"] and count(changed, "Unsqueeze") == 2
    same_outputs(model, changed, {"x": normal(2, 3, 4, 4)})


@pytest.mark.parametrize("call", ["InstanceNormalization(n, s, s)", "GroupNormalization<num_groups = 2>(n, s, s)"])
def test_an_unknown_rank_is_refused(call):
    text = f"""g (float[N, 4, 3] x) => (float[N, 4, 3] y) {{
      n = Neg(x) [here] a = {call} y = Einsum<equation = "...,->...">(a, unit) }}"""
    model = parse(text, 21, s=normal(4), unit=scalar(1))
    del model.graph.value_info[:]
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenGroupNorm(), model)
    assert (refused.value.node, refused.value.reason) == ("here", "its rank is unknown")
    assert refused.value.way_out == "export the model with shapes or use granularity composite"


def test_the_spatial_size_may_be_unknown():
    x = normal(2, 4, 5, 3)
    model = operator_model("GroupNormalization<num_groups = 2>(x, s, s)", x, 21, "N, 4, H, W", s=normal(4))
    changed, _ = run_pass(OpenGroupNorm(), model)
    same_outputs(model, changed, {"x": x})
    assert count(changed, "GroupNormalization") == 0
