"""Held tensors that are not floats: an index computed from a shape, read by every step."""

import numpy as np
import onnx
import pytest

import spikec
from spikec.runtime import Session

# k is the last channel that there is, counted at run time: an integer that init computes and each step reads
MODEL = """<ir_version: 10, opset_import: ["": 20]>
g (float[N, 4] x) => (float[N, 3] y)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
 float[1, 3] u = {1, 2, 3}, int64 one = {1}, int64 a = {1}>
{
    h = MatMul(x, w)
    r = Relu(h)
    s = Shape<start = 1>(x)
    k = Sub(s, one)
    c = Gather<axis = 1>(r, k)
    y = MatMul(c, u)
}"""


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
@pytest.mark.parametrize("form", ["loop", "unrolled", "step"])
def test_an_integer_index_is_held(form, backend):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 4)).astype(np.float32)
    artifact = spikec.compile(onnx.parser.parse_model(MODEL), calibration=x, steps=24, form=form)
    found = Session(artifact.model, backend).run(x).final["y"]
    expected = np.maximum(x[:, 3:], 0) * np.array([[1, 2, 3]], np.float32)
    np.testing.assert_allclose(found, expected, atol=0.1)
