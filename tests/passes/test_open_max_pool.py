import numpy as np
import pytest

from spikec.passes import OpenMaxPool, UnsupportedNode
from tests.models.graphs import count, keeps_outputs, normal, operators, parse, reasons, run_pass

W = normal(2, 3, 1, 1, seed=1)
IMAGE = normal(2, 3, 7, 6) - 5  # below 0: padding must not win


def image_model(pool, shape="N, 3, 7, 6"):
    return parse(f"g (float[{shape}] x) => (float[N, 2, A, B] y) {{ [pool] a = {pool} y = Conv(a, w) }}", w=W)


@pytest.mark.parametrize(
    "settings",
    [
        "kernel_shape = [2, 2], strides = [2, 2]",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
        "kernel_shape = [3, 2], strides = [1, 3], pads = [0, 1, 2, 0]",
        "kernel_shape = [2, 3], dilations = [3, 2]",
        "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1",
        'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"',
        'kernel_shape = [2, 2], auto_pad = "SAME_LOWER"',
        "kernel_shape = [5, 1]",
        "kernel_shape = [7, 6]",
    ],
)
def test_max_pool(settings):
    opened, record = keeps_outputs(OpenMaxPool(), image_model(f"MaxPool<{settings}>(x)"), {"x": IMAGE})
    assert record.rewrote == ["pool"]
    assert count(opened, "MaxPool") == 0
    assert all(len(node.input) == 2 for node in opened.graph.node if node.op_type == "Max")


def test_global_max_pool():
    opened, _ = keeps_outputs(OpenMaxPool(), image_model("GlobalMaxPool(x)"), {"x": IMAGE})
    assert count(opened, "Max") == 6 + 5
    assert count(opened, "GlobalMaxPool") == 0


def test_one_axis_is_a_tree_of_depth_log2():
    text = "g (float[N, 3, 9] x) => (float[N, 2, A] y) { [pool] a = MaxPool<kernel_shape = [8]>(x) y = Conv(a, w) }"
    opened, _ = keeps_outputs(OpenMaxPool(), parse(text, w=W[..., 0]), {"x": normal(2, 3, 9)})
    depths = {node.name.split("/")[-1].split("_")[0] for node in opened.graph.node if node.op_type == "Max"}
    assert depths == {"max0", "max1", "max2"}
    assert count(opened, "Max") == 7


def test_three_axes():
    text = """g (float[N, 1, 3, 4, 5] x) => (float[N, 1, A, B, C] y) {
      a = MaxPool<kernel_shape = [2, 2, 2]>(x) y = Conv(a, w)
    }"""
    keeps_outputs(OpenMaxPool(), parse(text, w=normal(1, 1, 1, 1, 1)), {"x": normal(2, 1, 3, 4, 5)})


@pytest.mark.parametrize(
    "settings", ["kernel_shape = [1, 1]", "kernel_shape = [1, 1], strides = [1, 1], pads = [0, 0, 0, 0]"]
)
def test_a_window_of_one_element_is_a_wire(settings):
    opened, _ = keeps_outputs(OpenMaxPool(), image_model(f"MaxPool<{settings}>(x)"), {"x": IMAGE})
    assert operators(opened) == ["Conv", "Identity"]


def test_a_window_of_one_element_with_a_stride_is_a_selection():
    opened, _ = keeps_outputs(
        OpenMaxPool(), image_model("MaxPool<kernel_shape = [1, 1], strides = [2, 3]>(x)"), {"x": IMAGE}
    )
    assert operators(opened) == ["Conv", "Gather", "Gather"]


def test_one_window_of_one_element_is_a_selection_too():
    opened, _ = keeps_outputs(
        OpenMaxPool(), image_model("MaxPool<kernel_shape = [1, 1], strides = [7, 6]>(x)"), {"x": IMAGE}
    )
    assert operators(opened) == ["Conv", "Gather", "Gather"]


def test_two_pools_of_one_tensor():
    text = """g (float[N, 3, 7, 6] x) => (float[N, 2, A, B] y) {
      a = MaxPool<kernel_shape = [2, 2]>(x) b = MaxPool<kernel_shape = [2, 2]>(x) c = Add(a, b) y = Conv(c, w)
    }"""
    _, record = keeps_outputs(OpenMaxPool(), parse(text, w=W), {"x": IMAGE})
    assert len(record.rewrote) == 2


def test_a_pool_behind_the_last_weights_is_readout_and_stays():
    text = "g (float[N, 3, 7, 6] x) => (float[N, 2, A, B] y) { a = Conv(x, w) y = MaxPool<kernel_shape = [2, 2]>(a) }"
    opened, record = keeps_outputs(OpenMaxPool(), parse(text, w=W), {"x": IMAGE})
    assert record.rewrote == [] and count(opened, "MaxPool") == 1


def refusal(pool, shape="N, 3, 7, 6"):
    with pytest.raises(UnsupportedNode) as refused:
        run_pass(OpenMaxPool(), image_model(pool, shape))
    assert refused.value.node == "pool"
    return refused.value.reason, refused.value.way_out


@pytest.mark.parametrize("pool", ["MaxPool<kernel_shape = [2, 2]>(x)", "GlobalMaxPool(x)"])
def test_refused_where_the_spatial_size_is_not_known(pool):
    reason, way_out = refusal(pool, "N, 3, H, 6")
    assert reason == "its spatial size is not known"
    assert way_out == "use granularity composite or export with a fixed size"


def test_skipped_where_its_indices_are_used():
    model = image_model("MaxPool<kernel_shape = [2, 2]>(x)")
    model.graph.node[0].output.append("index")
    model.graph.node.append(
        parse("g (int64[N, 3, A, B] index) => (int64[N, 3, A, B] i) { i = Abs(index) }").graph.node[0]
    )
    model.graph.output.append(parse("g () => (int64[N, 3, A, B] i) { }").graph.output[0])
    opened, record = run_pass(OpenMaxPool(), model)
    assert reasons(record) == {"pool": "more than its first output is used"}
    assert count(opened, "MaxPool") == 1


def test_refused_where_a_window_lies_in_the_padding():
    reason, way_out = refusal("MaxPool<kernel_shape = [2, 2], dilations = [8, 1], pads = [1, 0, 1, 0]>(x)")
    assert reason == "one of its windows lies wholly in the padding"
    assert way_out == "pool with less padding"


def test_refused_where_onnxruntime_and_onnx_disagree():
    reason, way_out = refusal('MaxPool<kernel_shape = [2, 2], dilations = [1, 2], auto_pad = "SAME_UPPER">(x)')
    assert reason == "onnxruntime pads dilated windows otherwise than ONNX says for auto_pad SAME"
    assert way_out == "export it with pads in numbers"


def test_padding_never_wins():
    model = image_model("MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x)")
    keeps_outputs(OpenMaxPool(), model, {"x": np.full((1, 3, 7, 6), -1e30, np.float32)})
