"""The graph around the operators: functions, hooks, folding, freeing, precision, errors."""

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from spikec.runtime.errors import ArtifactError, InputError, SpikecRuntimeError, UnsupportedOperator
from spikec.runtime.torch_graph import TorchGraph, constants_from

DOMAIN = "test.neurons"
OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
Body = Callable[..., tuple[torch.Tensor, ...]]
X = torch.tensor([-1.0, 0.25, 3.0])


def node(operator: str, inputs: str, outputs: str, domain: str = "", **attrs: object) -> NodeProto:
    names = [[("" if name == "_" else name) for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(operator, *names, name=f"the_{operator}", domain=domain, **attrs)


def referring(operator: str, inputs: str, outputs: str, attribute: str, source: str, kind: int) -> NodeProto:
    made = node(operator, inputs, outputs)
    made.attribute.append(AttributeProto(name=attribute, ref_attr_name=source, type=kind))
    return made


def function(name: str, inputs: str, outputs: str, nodes: list[NodeProto], **defaults: float) -> FunctionProto:
    made = helper.make_function(DOMAIN, name, inputs.split(), outputs.split(), nodes, OPSETS, ["slope"])
    made.attribute_proto.extend(helper.make_attribute(key, value) for key, value in defaults.items())
    return made


def leaky(**defaults: float) -> dict[tuple[str, str], FunctionProto]:
    body = [referring("LeakyRelu", "x", "y", "alpha", "slope", AttributeProto.FLOAT)]
    return {(DOMAIN, "Leaky"): function("Leaky", "x", "y", body, **defaults)}


def test_constants_are_folded_and_not_recomputed() -> None:
    nodes = [node("Shape", "w", "s"), node("Mul", "s one", "t", "ai.onnx"), node("Expand", "x t", "y")]
    graph = TorchGraph(nodes, ["y"], {"w": torch.zeros(2, 3), "one": torch.tensor(1)}, {})
    assert graph.inputs == ("x",)
    assert [step.label for step in graph._program._steps] == ["Expand node 'the_Expand'"]
    assert graph({"x": torch.ones(3)})["y"].shape == (2, 3)


def test_a_constant_output_and_an_input_passed_through() -> None:
    graph = TorchGraph([node("Constant", "", "c", value_float=2.0)], ["c", "x"], {}, {})
    result = graph({"x": X})
    assert result["c"].item() == 2.0 and torch.equal(result["x"], X)


def test_nodes_that_no_output_needs_are_dropped() -> None:
    graph = TorchGraph([node("Relu", "x", "y"), node("Tanh", "missing", "z")], ["y"], {}, {})
    assert graph.inputs == ("x",)


def test_intermediate_tensors_are_freed_after_their_last_use() -> None:
    seen: list[weakref.ref[torch.Tensor]] = []

    def watch(call: NodeProto, fn: Body, args: list[torch.Tensor | None]) -> tuple[torch.Tensor]:
        gc.collect()
        alive = sum(reference() is not None for reference in seen)
        assert alive <= 1  # the argument itself
        result = args[0] + 1
        seen.append(weakref.ref(result))
        return (result,)

    steps = [node("Leaky", f"v{step}", f"v{step + 1}", DOMAIN) for step in range(4)]
    TorchGraph(steps, ["v4"], {}, leaky(), hooks={(DOMAIN, "Leaky"): watch})({"v0": X})
    assert len(seen) == 4


def test_function_attributes_come_from_the_call_the_defaults_or_the_operator() -> None:
    given = TorchGraph([node("Leaky", "x", "y", DOMAIN, slope=0.5)], ["y"], {}, leaky(slope=0.25))
    default = TorchGraph([node("Leaky", "x", "y", DOMAIN)], ["y"], {}, leaky(slope=0.25))
    operator = TorchGraph([node("Leaky", "x", "y", DOMAIN)], ["y"], {}, leaky())
    values = [graph({"x": X})["y"][0].item() for graph in (given, default, operator)]
    assert values == [-0.5, -0.25, pytest.approx(-0.01)]


def test_nested_functions_pass_attributes_on_and_see_constant_arguments() -> None:
    inner = referring("Leaky", "a", "h", "slope", "slope", AttributeProto.FLOAT)
    inner.domain = DOMAIN
    outer = function("Outer", "a b c", "r", [inner, node("Sqrt", "b", "root"), node("Clip", "h c root", "r")])
    functions = {**leaky(), (DOMAIN, "Outer"): outer}
    nodes = [node("Outer", "x b", "y", DOMAIN, slope=0.5), node("Leaky", "b", "z", DOMAIN)]
    graph = TorchGraph(nodes, ["y", "z"], {"b": torch.tensor(4.0)}, functions)
    assert graph({"x": X})["y"].tolist() == [-0.5, 0.25, 2.0]
    assert len(graph._program._steps) == 1  # the second call has only constants


def test_a_hook_replaces_the_call_and_can_run_the_body() -> None:
    calls: list[tuple[str, float]] = []

    def hook(call: NodeProto, fn: Body, args: list[torch.Tensor | None]) -> tuple[torch.Tensor, ...]:
        calls.append((call.name, args[1].item()))
        return (fn(args[0] * 2, torch.tensor(10.0))[0] + 1,)

    shifted = function("Shift", "x by", "y", [node("Add", "x by", "y")])
    nodes = [node("Shift", "x by", "y", DOMAIN)]
    graph = TorchGraph(
        nodes, ["y"], {"by": torch.tensor(5.0)}, {(DOMAIN, "Shift"): shifted}, hooks={(DOMAIN, "Shift"): hook}
    )
    assert graph({"x": X})["y"].tolist() == [9.0, 11.5, 17.0]
    assert calls == [("the_Shift", 5.0)]


def test_a_hooked_call_is_never_folded() -> None:
    calls: list[str] = []

    def hook(call: NodeProto, fn: Body, args: list[torch.Tensor | None]) -> tuple[torch.Tensor, ...]:
        calls.append(call.name)
        return fn(*args)

    outer = function("Outer", "x", "y", [node("Leaky", "x", "y", DOMAIN)])
    functions = {**leaky(), (DOMAIN, "Outer"): outer}
    graph = TorchGraph([node("Outer", "c", "y", DOMAIN)], ["y"], {"c": X}, functions, hooks={(DOMAIN, "Leaky"): hook})
    graph({})
    graph({})
    assert calls == ["the_Leaky"] * 2


@pytest.mark.parametrize("operator, domain", [("Bogus", ""), ("Relu", "com.example"), ("Loop", "")])
def test_unknown_operators_are_named(operator: str, domain: str) -> None:
    with pytest.raises(UnsupportedOperator, match=f"the_{operator}.*{operator}.*{domain or 'ai.onnx'}.*rewrite"):
        TorchGraph([node(operator, "x", "y", domain)], ["y"], {}, {})


REFUSED = [
    node("MaxPool", "x", "y indices", kernel_shape=[2]),
    node("BatchNormalization", "x s b m v", "y", training_mode=1),
    node("Resize", "x _ s", "y", antialias=1, mode="linear"),
    node("Resize", "x _ s", "y", coordinate_transformation_mode="tf_crop_and_resize"),
    node("Pad", "x p", "y", mode="mirror"),
    node("ScatterND", "x i u", "y", reduction="mul"),
    node("ScatterElements", "x i u", "y", reduction="max"),
    node("Cast", "x", "y", to=TensorProto.STRING),
    node("Constant", "", "y", value_string="text"),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.op_type)
def test_modes_that_are_not_implemented_are_refused_at_construction(refused: NodeProto) -> None:
    with pytest.raises(UnsupportedOperator, match=f"the_{refused.op_type}"):
        TorchGraph([refused], ["y"], {}, {})


def test_random_dropout_is_refused() -> None:
    graph = TorchGraph([node("Dropout", "x r t", "y")], ["y"], {"r": torch.tensor(0.5), "t": torch.tensor(True)}, {})
    with pytest.raises(UnsupportedOperator, match="evaluation mode"):
        graph({"x": X})


def test_a_failing_operator_is_named_in_a_note() -> None:
    graph = TorchGraph([node("Add", "x z", "y")], ["y"], {}, {})
    with pytest.raises(RuntimeError) as caught:
        graph({"x": X, "z": torch.zeros(2)})
    assert caught.value.__notes__ == ["while evaluating Add node 'the_Add'"]


def test_missing_inputs_and_broken_functions_have_their_errors() -> None:
    with pytest.raises(InputError, match=r"needs values for \['x'\]"):
        TorchGraph([node("Relu", "x", "y")], ["y"], {}, {})({"z": X})
    broken = {(DOMAIN, "Broken"): function("Broken", "x", "y", [node("Add", "x stranger", "y")])}
    with pytest.raises(ArtifactError, match="stranger"):
        TorchGraph([node("Broken", "x", "y", DOMAIN)], ["y"], {}, broken)
    assert {error.exit_code for error in SpikecRuntimeError.__subclasses__()} == {2, 3, 5}


def test_nodes_out_of_order_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"\['h'\] are read before"):
        TorchGraph([node("Relu", "h", "y"), node("Tanh", "x", "h"), node("Sum", "y h", "z")], ["z"], {}, {})


def test_constants_read_as_numbers_are_copied_to_main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikec.runtime.torch_graph._is_main_memory", lambda device: False)
    nodes = [node("Reshape", "x shape", "y"), node("Add", "n shape", "z")]
    graph = TorchGraph(nodes, ["y", "z"], {"shape": torch.tensor([3, 1])}, {})
    result = graph({"x": X, "n": torch.tensor([1, 1])})
    assert result["y"].shape == (3, 1) and result["z"].tolist() == [4, 2]
    reshape, add = graph._program._steps
    assert reshape.reads[1] != add.reads[1]


def test_float64_reaches_constants_casts_and_inputs() -> None:
    thirds = numpy_helper.from_array(np.array(1 / 3), "third")
    nodes = [
        node("Cast", "n", "f", to=TensorProto.FLOAT),
        node("Mul", "f third", "p"),
        node("Cast", "p", "h", to=TensorProto.FLOAT16),
        node("Constant", "", "one", value=numpy_helper.from_array(np.float32(1))),
        node("Sum", "h one x", "y"),
    ]
    constants = constants_from([thirds], torch.float64, "cpu")
    graph = TorchGraph(nodes, ["y"], constants, {}, dtype=torch.float64)
    result = graph({"n": torch.tensor(7), "x": torch.tensor(0.5, dtype=torch.float16)})["y"]
    assert result.dtype == torch.float64 and result.item() == 7 * (1 / 3) + 1.5


def test_initializers_of_every_type_are_read() -> None:
    values = np.array([1, 0, 2])
    kinds = {
        TensorProto.BFLOAT16: torch.float32, TensorProto.FLOAT16: torch.float32, TensorProto.DOUBLE: torch.float32,
        TensorProto.INT64: torch.int64, TensorProto.INT8: torch.int8, TensorProto.UINT8: torch.uint8,
        TensorProto.BOOL: torch.bool,
    }  # fmt: skip
    protos = [helper.make_tensor(str(kind), kind, [3], values) for kind in kinds]
    read = constants_from(protos, torch.float32, "cpu")
    assert [tensor.dtype for tensor in read.values()] == list(kinds.values())
    assert all(tensor.tolist() == values.astype(bool if tensor.dtype == torch.bool else int).tolist()
               for tensor in read.values())  # fmt: skip
    with pytest.raises(ArtifactError, match="STRING"):
        constants_from([helper.make_tensor("s", TensorProto.STRING, [1], [b"text"])], torch.float32, "cpu")


def test_results_need_no_gradient_and_calls_are_independent() -> None:
    graph = TorchGraph([node("Mul", "x x", "y")], ["y"], {}, {})
    first = graph({"x": X.clone().requires_grad_()})["y"]
    second = graph({"x": X + 1})["y"]
    assert not first.requires_grad
    assert torch.equal(first, X * X) and torch.equal(second, (X + 1) ** 2)
