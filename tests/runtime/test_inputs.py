"""What a caller may feed, what the refusals say, and how samples are cut into batches."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from onnx import TensorProto, helper

from spikec.runtime.errors import InputError
from spikec.runtime.inputs import batches, check_inputs, why_failed

ROW = helper.make_tensor_value_info("row", TensorProto.FLOAT, ["N", 6])
IMAGE = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 3, "H", "W"])
ANY = helper.make_tensor_value_info("any", TensorProto.FLOAT, None)
FOUR = helper.make_tensor_value_info("four", TensorProto.FLOAT, [4, 2])
X = np.zeros((5, 6), np.float32)
PIXELS = np.zeros((5, 3, 8, 9), np.uint8)


def test_one_array_needs_no_name_and_is_not_copied():
    assert check_inputs(X, [ROW])["row"] is X
    named = check_inputs({"image": PIXELS, "row": X}, [ROW, IMAGE])
    assert list(named) == ["row", "image"], "in the order of the artifact"
    assert named["row"] is X and named["image"] is PIXELS


@pytest.mark.parametrize("shape", [(1,), (5, 6), (2, 3, 4, 5)])
def test_an_open_rank_takes_every_rank_but_none(shape):
    assert check_inputs(np.ones(shape, np.float32), [ANY])["any"].shape == shape


# what is fed, to which inputs -> the message
REFUSED = {
    "no name": (X, [ROW, IMAGE], "the artifact has 2 inputs (row, image); give a mapping from name to array"),
    "nothing": ({}, [ROW], "given are no inputs; the artifact takes row"),
    "another name": ({"b": X, "a": X}, [ROW], "given are a, b; the artifact takes row"),
    "too much": ({"row": X, "a": X}, [ROW], "given are a, row; the artifact takes row"),
    "a number for a name": ({0: X, "b": X}, [ROW], "given are 0, b; the artifact takes row"),
    "ragged": ([[1.0], [2.0, 3.0]], [ROW], "'row' is list, which makes no array (setting an array element with"),
    "ragged by name": ({"row": [[1.0], [2.0, 3.0]]}, [ROW], "'row' is list, which makes no array ("),
    "gradients": (torch.ones(5, 6, requires_grad=True), [ROW], "'row' is Tensor, which makes no array (Can't call"),
    "too little": ({"row": X}, [ROW, IMAGE], "given are row; the artifact takes row, image"),
    "wider": (X.astype(np.float64), [ROW], "'row' is float64, the artifact takes float32; convert it with .astype("),
    "integers": (
        {"row": X, "image": PIXELS.astype(np.int8)},
        [ROW, IMAGE],
        "'image' is int8, the artifact takes uint8",
    ),
    "a list": ([[0.0] * 6], [ROW], "'row' is float64, the artifact takes float32"),
    "rank": (X[0], [ROW], "'row' has shape (6,), the artifact takes (?, 6)"),
    "dimension": (X[:, 1:], [ROW], "'row' has shape (5, 5), the artifact takes (?, 6)"),
    "channels": (PIXELS[:, :2], [IMAGE], "'image' has shape (5, 2, 8, 9), the artifact takes (?, 3, ?, ?)"),
    "a number": (np.float32(1), [ANY], "'any' has shape (), the artifact takes ()"),
    "no samples": (X[:0], [ROW], "the inputs hold no samples"),
    "other counts": ({"row": X, "image": PIXELS[:3]}, [ROW, IMAGE], "the inputs have different numbers of samples"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_does_not_fit_is_refused_and_told(fault):
    fed, infos, message = REFUSED[fault]
    with pytest.raises(InputError) as refused:
        check_inputs(fed, infos)
    assert str(refused.value).startswith(message)
    assert refused.value.exit_code == 2


@settings(max_examples=50, deadline=None)
@given(total=st.integers(1, 20), size=st.integers(-2, 25))
def test_batches_put_together_are_the_samples(total, size):
    feeds = {"row": np.arange(total * 6, dtype=np.float32).reshape(total, 6), "image": np.ones((total, 3, 1, 1))}
    cut = list(batches(feeds, [ROW, IMAGE], size))
    assert [count for _, count in cut[:-1]] == [max(size, 1)] * (len(cut) - 1), "all but the last are full"
    for name, whole in feeds.items():
        assert [len(batch[name]) for batch, _ in cut] == [count for _, count in cut]
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch, _ in cut]), whole)


@settings(max_examples=50, deadline=None)
@given(total=st.integers(1, 20), size=st.integers(1, 25))
def test_a_fixed_batch_is_always_full(total, size):
    feeds = {"row": np.ones((total, 6)), "four": np.arange(total * 2).reshape(total, 2)}
    cut = list(batches(feeds, [ROW, FOUR], size))
    assert all(len(array) == 4 for batch, _ in cut for array in batch.values())
    np.testing.assert_array_equal(np.concatenate([batch["four"][:count] for batch, count in cut]), feeds["four"])
    last, count = cut[-1]
    assert sum(count for _, count in cut) == total
    np.testing.assert_array_equal(last["four"][count:], np.repeat(feeds["four"][-1:], 4 - count, axis=0))


@pytest.mark.parametrize(
    ("infos", "theirs"), [([ROW], False), ([FOUR, ROW], False), ([ROW, IMAGE], True), ([ANY], True)]
)
def test_a_failure_is_the_callers_only_where_a_dimension_is_open(infos, theirs):
    found = why_failed(RuntimeError("sizes do not match"), {"row": X}, infos)
    assert isinstance(found, InputError) if theirs else found is None


def test_a_failure_is_told_in_one_line_with_the_node():
    error = RuntimeError("\nsizes do not match\n  at line 7 of the engine")
    error.add_note("while evaluating Gemm node 'head'")
    found = str(why_failed(error, {"row": X, "image": PIXELS}, [ROW, IMAGE]))
    assert found == (
        "the network cannot be run on row (5, 6), image (5, 3, 8, 9): sizes do not match while evaluating "
        "Gemm node 'head'; use the dimensions that it was calibrated with"
    )
