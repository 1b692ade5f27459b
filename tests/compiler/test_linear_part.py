"""The linear part of every affine operator, through the real path: x(t) = A(v(t)) at every step."""

import numpy as np
import pytest

from spikec.passes.operators import affine_operators
from tests.models.graphs import ints, normal, parse, scalar
from tests.models.recurrent import assert_exact, place

IMAGE, ROW, SEQUENCE = (4, 6, 6), (6,), (4, 6)
BATCH = 3
NORM = {"s": normal(4, seed=1), "t": normal(4, seed=2), "m": normal(4, seed=3), "v": normal(4, seed=4) ** 2 + 0.5}
K3, K1, C = normal(5, 4, 3, 3), normal(4, 2, 3, 3), normal(5, seed=6)
INDEX = ints(2, 0, 3)
ROI = np.array([0, 0, 0.1, 0.1, 1, 1, 1.4, 1.4], np.float32)

# operator -> (nodes from h and g, which change with every step, or x and z, which do not, to a; shape of x; constants)
CASES = {
    "Conv": [
        ("a = Conv<pads = [1, 1, 1, 1]>(h, k, c)", IMAGE, {"k": K3, "c": C}),
        ("a = Conv<group = 2, strides = [2, 2]>(h, k)", IMAGE, {"k": K1}),
        ('a = Conv<auto_pad = "SAME_LOWER", strides = [2, 1]>(h, k, c)', IMAGE, {"k": K3, "c": C}),
        ("a = Conv(h, k, c)", SEQUENCE, {"k": normal(2, 4, 3), "c": normal(2)}),
    ],
    "ConvTranspose": [
        (
            "a = ConvTranspose<strides = [2, 2], output_padding = [1, 1]>(h, k, c)",
            IMAGE,
            {"k": normal(4, 3, 2, 2), "c": normal(3)},
        ),
        ("a = ConvTranspose<group = 2, pads = [1, 1, 1, 1]>(h, k)", IMAGE, {"k": normal(4, 2, 3, 3)}),
    ],
    "AveragePool": [
        ("a = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]>(h)", IMAGE, {}),
        ("a = AveragePool<kernel_shape = [3, 3], pads = [1, 0, 1, 0], count_include_pad = 1>(h)", IMAGE, {}),
        ("a = AveragePool<kernel_shape = [4, 4], strides = [3, 3], ceil_mode = 1>(h)", IMAGE, {}),
    ],
    "GlobalAveragePool": [("a = GlobalAveragePool(h)", IMAGE, {})],
    "ReduceMean": [
        ("a = ReduceMean(h, axes)", IMAGE, {"axes": ints(-1, 2)}),
        ("a = ReduceMean<keepdims = 0>(h, axes)", IMAGE, {"axes": ints(1)}),
        ("a = ReduceMean(h)", IMAGE, {}),
    ],
    "ReduceSum": [("a = ReduceSum<keepdims = 0>(h, axes)", IMAGE, {"axes": ints(2, 3)}), ("a = ReduceSum(h)", ROW, {})],
    "Neg": [("a = Neg(h)", IMAGE, {})],
    "Split": [
        ("p, q = Split<axis = 1, num_outputs = 2>(h) a = Sub(p, q)", IMAGE, {}),
        ("p, q, t = Split<axis = 1>(h, sizes) a = Concat<axis = 1>(t, q)", IMAGE, {"sizes": ints(1, 2, 1)}),
    ],
    "Slice": [
        (
            "a = Slice(h, from, to, axes, steps)",
            IMAGE,
            {"from": ints(1, -1), "to": ints(9, -7), "axes": ints(2, 3), "steps": ints(2, -2)},
        ),
        ("a = Slice(h, from, to)", IMAGE, {"from": ints(0, 1), "to": ints(9, 3)}),
    ],
    "Pad": [
        ("a = Pad(h, pads, value)", IMAGE, {"pads": ints(0, 1, 2, 0, 0, 0, 1, 3), "value": scalar(1.5)}),
        ("a = Pad(h, pads, value, axes)", IMAGE, {"pads": ints(1, 0, 2, -1), "value": scalar(-2), "axes": ints(2, 3)}),
        ('a = Pad<mode = "reflect">(h, pads)', IMAGE, {"pads": ints(0, 0, 2, 1, 0, 0, 1, 0)}),
        ('a = Pad<mode = "edge">(h, pads)', IMAGE, {"pads": ints(0, 0, 2, 1, 0, 0, 1, 0)}),
        ('a = Pad<mode = "wrap">(h, pads)', IMAGE, {"pads": ints(0, 0, 2, 1, 0, 0, 1, 0)}),
    ],
    "Reshape": [
        ("a = Reshape(h, shape)", IMAGE, {"shape": ints(0, 2, -1)}),
        (
            "s = Shape(h) n = Gather(s, i) q = Concat<axis = 0>(n, rest) a = Reshape(h, q)",
            IMAGE,
            {"i": ints(0), "rest": ints(-1)},
        ),
        (
            "s = Shape(x) n = Slice(s, i, j) q = Concat<axis = 0>(n, k) a = Reshape(h, q)",
            IMAGE,
            {"i": ints(0), "j": ints(2), "k": ints(-1)},
        ),
        (
            "s = Shape(h) b, c, d, e = Split<num_outputs = 4>(s) q = Concat<axis = 0>(b, d, c, e) a = Reshape(h, q)",
            IMAGE,
            {},
        ),
        ("p = Neg(h) s = Shape(p) i = Shape(x) q = Max(s, i) a = Reshape(h, q)", IMAGE, {}),
    ],
    "Flatten": [("a = Flatten(h)", IMAGE, {}), ("a = Flatten<axis = -1>(h)", IMAGE, {})],
    "Transpose": [("a = Transpose<perm = [0, 3, 1, 2]>(h)", IMAGE, {}), ("a = Transpose(h)", ROW, {})],
    "Squeeze": [("b = ReduceMean(h, axes) a = Squeeze(b, axes)", IMAGE, {"axes": ints(2)})],
    "Unsqueeze": [("a = Unsqueeze(h, axes)", IMAGE, {"axes": ints(-1, 1)})],
    "Expand": [
        ("b = Unsqueeze(h, axes) a = Expand(b, shape)", ROW, {"axes": ints(1), "shape": ints(1, 4, 1)}),
        ("b = GlobalAveragePool(h) s = Shape(h) a = Expand(b, s)", IMAGE, {}),
        ("b = GlobalAveragePool(h) s = Shape(x) a = Expand(b, s)", IMAGE, {}),
    ],
    "Tile": [("a = Tile(h, repeats)", SEQUENCE, {"repeats": ints(1, 2, 3)})],
    "Gather": [
        ("a = Gather<axis = 1>(h, i)", IMAGE, {"i": INDEX}),
        ("a = Gather<axis = -1>(h, i)", IMAGE, {"i": np.array(-1)}),
    ],
    "GatherElements": [("a = GatherElements<axis = 1>(h, i)", ROW, {"i": np.array([[0, 5], [1, 1], [2, 3]])})],
    "GatherND": [
        ("a = GatherND(h, i)", ROW, {"i": np.array([[0, 1], [2, 5]])}),
        ("a = GatherND<batch_dims = 1>(h, i)", ROW, {"i": np.array([[0], [1], [4]])}),
    ],
    "Resize": [
        ("a = Resize(h, , scales)", IMAGE, {"scales": np.array([1, 1, 2, 0.5], np.float32)}),
        ('a = Resize<mode = "linear">(h, , , sizes)', IMAGE, {"sizes": ints(BATCH, 4, 9, 4)}),
        (
            'a = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(h, , , sizes)',
            IMAGE,
            {"sizes": ints(BATCH, 4, 9, 4)},
        ),
        ('a = Resize<mode = "cubic", axes = [2, 3]>(h, , , sizes)', IMAGE, {"sizes": ints(7, 8)}),
        (
            'a = Resize<mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize", extrapolation_value = '
            "2.5>(h, roi, , sizes)",
            IMAGE,
            {"roi": ROI, "sizes": ints(BATCH, 4, 5, 7)},
        ),
        ("s = Shape(g) a = Resize(h, , , s)", IMAGE, {}),
    ],
    "DepthToSpace": [
        ("a = DepthToSpace<blocksize = 2>(h)", IMAGE, {}),
        ('a = DepthToSpace<blocksize = 2, mode = "CRD">(h)', IMAGE, {}),
    ],
    "Col2Im": [
        (
            "columns = Reshape(h, rows) a = Col2Im<strides = [2, 2], pads = [1, 0, 1, 0]>(columns, size, block)",
            IMAGE,
            {"rows": ints(0, 4, -1), "size": ints(10, 12), "block": ints(2, 2)},
        )
    ],
    "SpaceToDepth": [("a = SpaceToDepth<blocksize = 2>(h)", IMAGE, {})],
    "Identity": [("a = Identity(h)", IMAGE, {})],
    "Cast": [("a = Cast<to = 1>(h)", IMAGE, {})],
    "Trilu": [("a = Trilu(h)", IMAGE, {}), ("a = Trilu<upper = 0>(h, k)", IMAGE, {"k": np.array(-1)})],
    "CumSum": [
        ("a = CumSum(h, axis)", IMAGE, {"axis": np.array(2)}),
        ("a = CumSum<exclusive = 1, reverse = 1>(h, axis)", IMAGE, {"axis": np.array(-1)}),
    ],
    "BatchNormalization": [("a = BatchNormalization<epsilon = 0.1>(h, s, t, m, v)", IMAGE, NORM)],
    "Div": [("a = Div(h, k)", IMAGE, {"k": scalar(0.3)}), ("a = Div(h, k)", SEQUENCE, {"k": normal(2, 1, 1, 1) + 3})],
    "Mul": [
        ("a = Mul(h, k)", IMAGE, {"k": normal(4, 1, 1)}),
        ("a = Mul(k, h)", IMAGE, {"k": scalar(-2)}),
        ("a = Mul(h, k)", SEQUENCE, {"k": normal(2, 1, 1, 1)}),
        ("s = Size(x) f = Cast<to = 1>(s) a = Mul(h, f)", IMAGE, {}),
        ("s = Shape(h) f = Cast<to = 1>(s) a = Mul(h, f)", (2,), {}),
    ],
    "MatMul": [
        ("a = MatMul(h, w)", SEQUENCE, {"w": normal(6, 3)}),
        ("a = MatMul(w, h)", SEQUENCE, {"w": normal(3, 4)}),
    ],
    "Einsum": [
        ('a = Einsum<equation = "ncl,ld->ndc">(h, w)', SEQUENCE, {"w": normal(6, 3)}),
        ('a = Einsum<equation = "dc,ncl->nl">(w, h)', SEQUENCE, {"w": normal(3, 4)}),
        ('a = Einsum<equation = "ncl->nlc">(h)', SEQUENCE, {}),
    ],
    "Add": [
        ("a = Add(h, k)", IMAGE, {"k": normal(4, 1, 1)}),
        ("a = Add(k, h)", IMAGE, {"k": normal(2, 1, 1, 1, 1)}),
        ("a = Add(h, g)", IMAGE, {}),
        ("a = Add(h, x)", IMAGE, {}),
        ("b = ReduceMean(h, axes) a = Add(x, b)", IMAGE, {"axes": ints(1)}),
        ("b = ReduceMean(h, axes) a = Add(b, g)", IMAGE, {"axes": ints(1)}),
        ("a = Add(h, h)", ROW, {}),
        ("b = Add(h, k) a = ReduceSum<keepdims = 0>(b, axes)", ROW, {"k": normal(2, 1, 6), "axes": ints(0)}),
        ("s = Shape(x) o = ConstantOfShape<value = float[1] {1}>(s) a = Add(o, h)", ROW, {}),
        (
            "s = Shape(h) o = ConstantOfShape<value = float[1] {1}>(s) b = ReduceSum(h, axes) a = Add(b, o)",
            ROW,
            {"axes": ints(1)},
        ),
    ],
    "Sub": [
        ("a = Sub(h, k)", IMAGE, {"k": normal(4, 1, 1)}),
        ("a = Sub(k, h)", IMAGE, {"k": normal(4, 1, 1)}),
        ("a = Sub(k, h)", IMAGE, {"k": normal(2, 1, 1, 1, 1)}),
        ("a = Sub(x, h)", IMAGE, {}),
        ("a = Sub(h, g)", IMAGE, {}),
        ("b = ReduceMean(h, axes) a = Sub(h, b)", IMAGE, {"axes": ints(1)}),
        ("a = Sub(h, h)", ROW, {}),
    ],
    "Sum": [("a = Sum(h, k, g, x)", IMAGE, {"k": normal(2, 1, 1, 1, 1)}), ("a = Sum(k, h)", ROW, {"k": scalar(3)})],
    "Mean": [("a = Mean(h, k, g, x)", IMAGE, {"k": normal(2, 1, 1, 1, 1)}), ("a = Mean(k, h)", ROW, {"k": normal(6)})],
    "Concat": [
        ("a = Concat<axis = 1>(h, g, h)", IMAGE, {}),
        ("a = Concat<axis = 1>(k, h, x)", IMAGE, {"k": normal(BATCH, 2, 6, 6)}),
        ("b = Conv(x, k) c = Conv(h, k) a = Concat<axis = 1>(b, c)", IMAGE, {"k": K3}),
    ],
    "Gemm": [
        ("a = Gemm(h, w, c)", ROW, {"w": normal(6, 5), "c": C}),
        ("a = Gemm<alpha = 0.5, beta = 3.0, transA = 1, transB = 1>(h, w, c)", ROW, {"w": normal(5, BATCH), "c": C}),
        ("a = Gemm(w, h, c)", ROW, {"w": normal(5, BATCH), "c": scalar(2)}),
        ("a = Gemm(w, h)", ROW, {"w": normal(5, BATCH)}),
        ("a = Gemm<alpha = 0.5, beta = -2.0>(h, w, g)", ROW, {"w": normal(6, 6)}),
        ("a = Gemm<beta = -2.0>(x, w, h)", ROW, {"w": normal(6, 6)}),
        ("a = Gemm<beta = 0.5>(k, w, h)", ROW, {"k": normal(BATCH, 2), "w": normal(2, 6)}),
        ("b = ReduceMean(h, axes) a = Gemm(x, w, b)", ROW, {"w": normal(6, 4), "axes": ints(1)}),
        ("a = Gemm(h, w, x)", ROW, {"w": normal(6, 6)}),
    ],
    "Where": [
        ("a = Where(k, h, c)", ROW, {"k": np.array([True, False] * 3), "c": scalar(5)}),
        ("a = Where(k, c, h)", ROW, {"k": np.array([True, False] * 3), "c": normal(6)}),
        ("a = Where(k, h, g)", ROW, {"k": np.array([[[True]], [[False]]])}),
        ("a = Where(k, x, h)", ROW, {"k": np.array([True, False] * 3)}),
    ],
}
FLAT = [(op, *case) for op, cases in CASES.items() for case in cases]


def test_no_affine_operator_is_forgotten():
    assert sorted(CASES) == affine_operators()
    for op, cases in CASES.items():
        assert all(f"{op}(" in nodes or f"{op}<" in nodes for nodes, _, _ in cases)


def network(nodes, shape, constants):
    """x -> Relu -> h, z -> Tanh -> g, then the nodes, one more neuron, and weights behind it: else it were readout."""
    dims = ", ".join(map(str, ("N", *shape)))
    text = f"""g (float[{dims}] x, float[{dims}] z) => (float[] y) {{
      h = Relu(x) g = Tanh(z) {nodes} r = Relu(a)
      both = ReduceMean(g) u = Add(r, both) y = Einsum<equation = "...,->...">(u, unit)
    }}"""
    return parse(text, **constants, unit=scalar(1))


@pytest.mark.parametrize(("op", "nodes", "shape", "constants"), FLAT, ids=[nodes for _, nodes, _, _ in FLAT])
def test_estimates_are_the_affine_segment_of_the_values(op, nodes, shape, constants):
    feeds = {"x": normal(BATCH, *shape, seed=8), "z": normal(BATCH, *shape, seed=9)}
    model = place(network(nodes, shape, constants), initial=0.25)
    lowered = assert_exact(model, feeds)
    assert any(node.op_type == op for node in model.graph.node)
    assert "a/estimate" in {state.name for state in lowered.states}
