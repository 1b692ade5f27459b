"""Dead zones of each kind of neuron and each step: how they are asked for, and that the artifact keeps to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikec
from spikec.dead_zones import KINDS, dead_zone_tables, kind_of, parse_early
from spikec.equivalence import relative_distance
from spikec.errors import UsageError
from spikec.lowering.network import Network, Neuron
from spikec.runtime import Session
from tests.models.graphs import normal, parse
from tests.models.networks import network
from tests.oracle import Oracle

INSIDE = st.floats(0, 1, exclude_min=True, exclude_max=True)
MANY_KINDS = """g (float[N, 3, 6] x) => (float[N, 3, 4] y) {
  a = MatMul(x, w) i = MatMul(a, q) j = Transpose<perm = [0, 2, 1]>(a) f = MatMul(i, j) g = Softmax(f)
  h = MatMul(g, a) n = LayerNormalization(h, s, b) m = MatMul(n, q) r = Relu(m) t = MatMul(r, q) z = Mul(t, h)
  y = MatMul(z, v)
}"""
WEIGHTS = {"w": (6, 5), "q": (5, 5), "s": (5,), "b": (5,), "v": (5, 4)}


def many_kinds():
    return parse(MANY_KINDS, **{name: normal(*shape, seed=i) / 2 for i, (name, shape) in enumerate(WEIGHTS.items())})


def neuron(kind, function="Relu"):
    return Neuron("n", function, kind, "sign", ("x",), (), "n/amplitude", "n/initial", "y")


def table(chosen, **settings):
    (found,) = dead_zone_tables([chosen], **settings).values()
    return found.tolist()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(KINDS), INSIDE))
def test_what_is_written_is_read(zones):
    spec = ",".join(f"{kind}={theta!r}" for kind, theta in zones.items())
    assert parse_early(spec) == zones
    assert spikec.Options(early_dead_zone=spec).early_dead_zone == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("relu=0.3", f"there is no kind of neuron 'relu'; choose among {', '.join(KINDS)}"),
        ("0.3", f"there is no kind of neuron '0.3'; choose among {', '.join(KINDS)}"),
        ("unary=0.2,soft=0.3", f"there is no kind of neuron 'soft'; choose among {', '.join(KINDS)}"),
        (0.3, f"there is no kind of neuron '0.3'; choose among {', '.join(KINDS)}"),
        ("row=0", "early dead zone of row is '0'; it must be a number above 0 and below 1"),
        ("row=1", "early dead zone of row is '1'; it must be a number above 0 and below 1"),
        ("row=nan", "early dead zone of row is 'nan'; it must be a number above 0 and below 1"),
        ("row=", "early dead zone of row is ''; it must be a number above 0 and below 1"),
        ("softmax=wide", "early dead zone of softmax is 'wide'; it must be a number above 0 and below 1"),
    ],
)
def test_what_is_refused(spec, message):
    with pytest.raises(UsageError) as refused:
        spikec.Options(early_dead_zone=spec)
    assert str(refused.value).removeprefix("early dead zone: ") == message


def test_a_neuron_is_eager_before_the_last_step_only():
    asked = {"steps": 4, "dead_zone": 0.5, "early": "row=0.25,unary=0.75"}
    assert table(neuron("unary"), **asked) == [0.75, 0.75, 0.75, 0.5]
    assert table(neuron("row", "LayerNormalization"), **asked) == [0.25, 0.25, 0.25, 0.5]
    assert table(neuron("product", "MatMul"), **asked) == [0.5] * 4
    assert table(neuron("unary"), **{**asked, "steps": 1}) == [0.5]
    assert dead_zone_tables([neuron("unary")], **asked)["n"].dtype == np.float32


def test_binary_neurons_stay_binary():
    assert table(neuron("unary"), steps=3, dead_zone=0.0, early="unary=0.25") == [0.0] * 3
    artifact = spikec.compile(network("mlp").model, calibration=network("mlp").feeds(6), steps=3, dead_zone=0.0)
    assert artifact.recurrent.dead_zones == {}


@pytest.mark.parametrize(
    ("kind", "function", "expected"),
    [
        ("row", "Softmax", "softmax"),
        ("row", "LogSoftmax", "softmax"),
        ("row", "Row_Sub_Exp_ReduceSum_Div", "softmax"),
        ("row", "LayerNormalization", "row"),
        ("row", "Row_Exp_ReduceMean", "row"),
        ("unary", "Softmax", "unary"),
        ("encoder", "Identity", "encoder"),
    ],
)
def test_kinds(kind, function, expected):
    assert kind_of(neuron(kind, function)) == expected
    assert expected in KINDS


def test_a_softmax_is_told_from_other_rows_in_a_network():
    """The kinds that the compiler places are those that can be asked for, a softmax of several nodes included."""
    artifact = spikec.compile(many_kinds(), calibration=normal(6, 3, 6), steps=3, coding="spike")
    kinds = {n.name: kind_of(n) for n in Network(artifact.levels.neurons).neurons.values()}
    assert sorted(kinds.values()) == ["binary", "encoder", "product", "product", "row", "softmax", "unary"]
    spelled = "e = Exp(a) s = ReduceSum(e, axes) h = Div(e, s)"
    text = f"g (float[N, 6] x) => (float[N, 4] y) {{ a = MatMul(x, w) {spelled} y = MatMul(h, v) }}"
    model = parse(text, w=normal(6, 5), v=normal(5, 4), axes=np.array([-1]))
    artifact = spikec.compile(model, calibration=normal(6, 6), steps=3)
    (row,) = Network(artifact.levels.neurons).neurons.values()
    assert (row.kind, kind_of(row)) == ("row", "softmax")
    assert artifact.recurrent.dead_zones[row.name].tolist() == np.float32([0.3, 0.3, 0.5]).tolist()


@pytest.mark.parametrize("early", ["", "softmax=0.1", "product=0.2,row=0.9,softmax=0.3,unary=0.7,binary=0.4"])
@pytest.mark.parametrize("form", ["loop", "unrolled", "step"])
def test_an_artifact_with_eager_neurons_equals_the_oracle_spike_for_spike(early, form):
    options = {"steps": 6, "form": form, "early_dead_zone": early}
    artifact = spikec.compile(many_kinds(), calibration=normal(8, 3, 6, seed=30), **options)
    zones, feeds = artifact.recurrent.dead_zones, {"x": normal(3, 3, 6, seed=31)}
    assert zones["g"].tolist() == np.float32([parse_early(early).get("softmax", 0.5)] * 5 + [0.5]).tolist()
    oracle = Oracle.of(artifact)
    stream = Session(artifact.model, precision="float64").stream(feeds)
    for step, (outputs, spikes) in zip(stream, oracle.run(feeds), strict=True):
        for name, expected in spikes.items():
            np.testing.assert_array_equal(step.spikes[name], expected, err_msg=f"{name} at step {step.t}")
        assert relative_distance(step.outputs["y"], outputs["y"]) < 1e-9


def test_an_eager_softmax_sends_more_spikes_before_the_last_step():
    """Narrower means a superset of reasons to fire: on the first step every neuron that fired at 0.5 fires at 0.1."""
    first = {}
    for early in ("", "softmax=0.1"):
        artifact = spikec.compile(
            many_kinds(), calibration=normal(8, 3, 6, seed=30), steps=6, early_dead_zone=early, range_rule="max"
        )
        step = next(iter(Session(artifact.model, precision="float64").stream(normal(3, 3, 6, seed=31))))
        first[early] = step.spikes["g"] != 0
    assert first["softmax=0.1"][first[""]].all() and first["softmax=0.1"].sum() > first[""].sum()
