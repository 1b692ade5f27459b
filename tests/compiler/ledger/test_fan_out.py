"""Events times the weights that each really passes: borders, strides, joins, sums, products."""

import itertools

import numpy as np
import pytest

import spikec
from spikec.errors import ModelError
from spikec.ledger import Work, ledger
from spikec.runtime import ArtifactError, InputError, Session
from tests.models.graphs import ints, normal, parse

STEPS = 4


def compiled(text, x, **constants):
    return spikec.compile(parse(text, **constants), calibration=x, steps=STEPS)


def streamed(artifact, x):
    """Events (T, N, ...) of each neuron."""
    steps = list(Session(artifact.model).stream(x))
    return {name: np.array([np.abs(step.spikes[name]) for step in steps]) for name in steps[0].spikes}


def layers_of(found):
    return {layer.name: layer for layer in found.layers}


def brute_force(events, out, kernel, stride, pad, dilation, group, outputs):
    """Each event visits each place of the kernel, and counts where an output stands there."""
    total = 0
    for *_, i, j in np.argwhere(events):
        for a, b in itertools.product(range(kernel), repeat=2):
            row, column = i + pad - a * dilation, j + pad - b * dilation
            inside = 0 <= row < out * stride and 0 <= column < out * stride
            total += outputs // group if inside and row % stride == column % stride == 0 else 0
    return total


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "dilation", "group"),
    [(3, 1, 1, 1, 1), (3, 2, 1, 1, 1), (3, 3, 2, 1, 4), (2, 2, 0, 2, 2)],
)
def test_a_convolution_counts_borders_and_strides(kernel, stride, pad, dilation, group):
    pads, strides, dilations = [pad] * 4, [stride] * 2, [dilation] * 2
    text = f"""g (float[N, 4, 7, 7] x) => (float[N, 8, M, M] y) {{ [act] a = Relu(x) [conv] y = Conv<pads = {pads},
        strides = {strides}, dilations = {dilations}, group = {group}>(a, k) }}"""
    x = normal(3, 4, 7, 7)
    artifact = compiled(text, x, k=normal(8, 4 // group, kernel, kernel))
    conv = layers_of(ledger(artifact, x))["conv"]
    out = (7 + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    settings = (out, kernel, stride, pad, dilation, group, 8)
    (events,) = streamed(artifact, x).values()
    assert conv.events.accumulates == pytest.approx(brute_force(events, *settings) / len(x))
    assert conv.ann.macs == brute_force(np.ones((1, 4, 7, 7)), *settings)
    assert conv.usual_macs == 8 * out * out * (4 // group) * kernel**2 >= conv.ann.macs


def test_a_transposed_convolution():
    text = """g (float[N, 2, 3, 3] x) => (float[N, 3, 6, 6] y) {
        [act] r = Relu(x) [up] y = ConvTranspose<strides = [2, 2]>(r, k) }"""
    x = normal(3, 2, 3, 3)
    artifact = compiled(text, x, k=normal(2, 3, 2, 2))
    up = layers_of(ledger(artifact, x))["up"]
    assert up.events.accumulates == pytest.approx(3 * 4 * streamed(artifact, x)["act"].sum() / 3)
    assert up.ann.macs == up.usual_macs == 18 * 3 * 4


def test_producers_that_meet_send_their_own_events():
    text = """g (float[N, 6] x) => (float[N, 2] y) {
        [one] a = Relu(x) [two] b = Sigmoid(x) [three] c = Tanh(x) [b2] e = Reshape(b, shape) [c2] f = Reshape(c, shape)
        [less] h = Sub(e, f) [scale] i = Mul(h, s) [back] j = Reshape(i, flat)
        [join] k = Concat<axis = 1>(a, j) [head] y = MatMul(k, w) }"""
    x = normal(5, 6)
    shapes = {"shape": ints(-1, 2, 3), "flat": ints(-1, 6)}
    artifact = compiled(text, x, s=normal(2, 3), w=normal(12, 2), **shapes)
    found = ledger(artifact, x)
    head, sent = layers_of(found)["head"], streamed(artifact, x)
    assert head.spiking and set(head.sources) == {"one", "two", "three"}
    assert head.events.accumulates == pytest.approx(2 * sum(events.sum() for events in sent.values()) / 5)
    together = sent["one"].sum() + np.maximum(sent["two"], sent["three"]).sum()
    assert 0 < head.merged <= 2.001 * together / 5 < head.events.accumulates  # two that meet may cancel
    less = next(entry for entry in found.rest if entry.name == "less")
    assert less.ann == Work(adds=6) and less.snn == Work()  # events are sent on, not added


def test_events_past_no_weights_are_added_once():
    text = """g (float[N, 6] x) => (float[N, 2] y) { [one] a = Relu(x) [two] b = Sigmoid(x)
        [a2] c = Reshape(a, shape) [b2] d = Reshape(b, shape) [sum] e = Add(c, d) [back] f = Reshape(e, flat)
        [last] g = Tanh(f) [head] y = MatMul(g, w) }"""
    x = normal(5, 6)
    artifact = compiled(text, x, shape=ints(-1, 2, 3), flat=ints(-1, 6), w=normal(6, 2))
    found, sent = ledger(artifact, x), streamed(artifact, x)
    direct = next(layer for layer in found.layers if layer.kind == "direct")
    assert direct.events.accumulates == pytest.approx((sent["one"].sum() + sent["two"].sum()) / 5)
    assert direct.snn.fetches == direct.ann.macs == 0


def test_a_sum_makes_values_of_events():
    text = """g (float[N, 2, 4, 4] x) => (float[N, 3] y) { [act] a = Relu(x) [pool] b = GlobalAveragePool(a)
        [flat] c = Flatten(b) [head] y = Gemm(c, w) }"""
    x = normal(5, 2, 4, 4)
    artifact = compiled(text, x, w=normal(2, 3))
    layers, events = layers_of(ledger(artifact, x)), streamed(artifact, x)["act"]
    assert layers["pool"].events == Work(accumulates=pytest.approx(events.sum() / 5))
    assert layers["pool"].ann == Work(adds=32)
    assert not layers["head"].spiking
    assert layers["head"].fixed.macs <= 3 * events.any(axis=(3, 4)).sum() / 5  # opposite events may cancel
    assert layers["head"].fixed.macs > 0


def test_weights_behind_weights_multiply_values():
    text = """g (float[N, 6] x) => (float[N, 2] y) {
        [act] a = Relu(x) [first] b = MatMul(a, v) [second] y = MatMul(b, w) }"""
    x = normal(5, 6)
    artifact = compiled(text, x, v=normal(6, 4), w=normal(4, 2))
    layers, events = layers_of(ledger(artifact, x)), streamed(artifact, x)["act"]
    assert layers["first"].spiking and not layers["second"].spiking
    assert layers["second"].fixed.macs == pytest.approx(2 * 4 * events.any(axis=2).sum() / 5)


def test_products_of_activations_are_done_at_every_step():
    text = """g (float[N, 3, 4] x) => (float[N, 3, 2] y) { [q] q = MatMul(x, a)
        [turn] t = Transpose<perm = [0, 2, 1]>(x) [scores] s = MatMul(q, t)
        [row] p = Softmax(s) [out] y = MatMul(p, c) }"""
    x = normal(4, 3, 4)
    artifact = compiled(text, x, a=normal(4, 4), c=normal(3, 2))
    found = ledger(artifact, x)
    layers, neurons = layers_of(found), {neuron.name: neuron for neuron in found.neurons}
    assert layers["q"].kind == "input"
    assert layers["scores"].kind == "product"
    assert layers["scores"].ann.macs == 3 * 3 * 4
    assert layers["scores"].snn.macs == 3 * 3 * 4 * neurons["scores"].evaluations
    assert neurons["row"].kind == "row"
    assert neurons["row"].f == Work(adds=27, multiplies=9, specials=9) * STEPS
    assert neurons["row"].ann.specials == 9


def test_forms_loop_and_step_have_the_same_ledger_and_unrolled_none():
    text = "g (float[N, 6] x) => (float[N, 2] y) { [act] a = Relu(x) [add] b = Add(a, c) [head] y = MatMul(b, w) }"
    model, x = parse(text, w=normal(6, 2), c=normal(6)), normal(5, 6)
    prepared = [spikec.compile(model, calibration=x, steps=STEPS, form=form) for form in ("loop", "step", "unrolled")]
    assert ledger(prepared[0], x).as_dict() == ledger(prepared[1], x).as_dict()
    with pytest.raises(ModelError, match="has the form unrolled"):
        ledger(prepared[2], x)


def test_a_fixed_batch_and_small_batches_count_the_same():
    text = """g (float[{n}, 2, 5, 5] x) => (float[{n}, 3, 3, 3] y) {{
        [act] a = Relu(x) [conv] y = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(a, k) }}"""
    x, k = normal(6, 2, 5, 5), normal(3, 2, 3, 3)
    free = compiled(text.format(n="N"), x, k=k)
    fixed = compiled(text.format(n=2), x, k=k)
    whole = ledger(free, x)
    assert ledger(free, x, batch_size=1).events.accumulates == pytest.approx(whole.events.accumulates)
    alike = ledger(fixed, x)
    assert alike.ann == whole.ann
    assert alike.events.accumulates == pytest.approx(whole.events.accumulates)
    assert alike.fixed.adds == pytest.approx(whole.fixed.adds)


def test_a_network_without_neurons_is_counted_once():
    x = normal(5, 6)
    found = ledger(compiled("g (float[N, 6] x) => (float[N, 2] y) { [head] y = MatMul(x, w) }", x, w=normal(6, 2)), x)
    assert found.ann == found.snn == Work(macs=12, fetches=12)
    assert found.rate == 0
    assert found.energy().break_even is None


def test_what_does_not_fit_is_refused():
    x = normal(5, 6)
    artifact = compiled(
        "g (float[N, 6] x) => (float[N, 2] y) { [act] a = Relu(x) [head] y = MatMul(a, w) }", x, w=normal(6, 2)
    )
    with pytest.raises(InputError, match="5 steps asked; this artifact runs 1 to 4"):
        ledger(artifact, x, steps=5)
    with pytest.raises(InputError, match="'x' has shape"):
        ledger(artifact, x[:, :5])
    with pytest.raises(ArtifactError, match="not a spikec artifact"):
        ledger(parse("g (float[N, 6] x) => (float[N, 6] y) { y = Relu(x) }"), x)


def test_sliced_padded_and_reshaped_events_keep_their_places():
    text = """g (float[N, 8] x) => (float[N, 2, 3] y) { [act] a = Relu(x) [cut] b = Slice(a, from, to, axes)
        [fold] c = Reshape(b, shape) [pad] d = Pad(c, pads) [head] y = MatMul(d, w) }"""
    x = normal(5, 8)
    given = {"from": ints(2), "to": ints(8), "axes": ints(1), "shape": ints(-1, 2, 3), "pads": ints(0, 0, 1, 0, 0, 0)}
    artifact = compiled(text, x, w=normal(4, 3), **given)
    head = layers_of(ledger(artifact, x))["head"]
    assert head.events.accumulates == pytest.approx(3 * streamed(artifact, x)["act"][..., 2:].sum() / 5)


def test_an_operator_that_input_and_events_reach_runs_before_the_steps_too():
    text = """g (float[N, 6] x) => (float[N, 2] y) { [act] a = Relu(x) [first] b = MatMul(a, v)
        [sum] c = Add(x, b) [head] y = MatMul(c, w) }"""
    x = normal(5, 6)
    found = ledger(compiled(text, x, v=normal(6, 6), w=normal(6, 2)), x)
    before, behind = (layer for layer in found.layers if layer.name == "head")
    assert (before.kind, behind.kind) == ("input", "weights")
    assert before.ann == Work() and before.snn == behind.ann == Work(macs=12, fetches=12)
    assert found.ann.macs == found.usual_macs == 36 + 12
    assert sum(entry.ann.adds for entry in found.rest) == 6


def test_the_addend_of_a_gemm_is_added():
    text = """g (float[N, 6] x) => (float[N, 6] y) {
        [one] a = Relu(x) [two] b = Sigmoid(x) [head] y = Gemm(a, w, b) }"""
    x = normal(5, 6)
    artifact = compiled(text, x, w=normal(6, 6))
    sent, (weights, direct) = streamed(artifact, x), ledger(artifact, x).layers
    assert weights.events.accumulates == pytest.approx(6 * sent["one"].sum() / 5)
    assert (direct.kind, direct.sources) == ("direct", ("two",))
    assert direct.events.accumulates == pytest.approx(sent["two"].sum() / 5)


def test_overlapping_windows_take_the_mean():
    text = """g (float[N, 2, 8, 8] x) => (float[N, 3] y) { [act] a = Relu(x)
        [pool] b = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(a)
        [flat] c = Flatten(b) [head] y = Gemm(c, w) }"""
    x = normal(8, 2, 8, 8)
    artifact = compiled(text, x, w=normal(32, 3))
    events = streamed(artifact, x)["act"]
    exact = brute_force(events, 4, 3, 2, 1, 1, 2, 2) / len(x)
    pool = layers_of(ledger(artifact, x))["pool"]
    # 16 windows of 9 places on 64 values, at the border places outside of the image counted: 2.25 for 1, 2 or 4
    assert pool.events.accumulates == pytest.approx(events.sum() / len(x) * 2.25)
    assert exact <= pool.events.accumulates <= 1.25 * exact
