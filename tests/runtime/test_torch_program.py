"""A program over numbered slots, given kernels of its own: order, absent values, what is kept and for how long."""

import weakref

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from spikec.runtime.torch_program import Operation, Program

ONE = torch.tensor([1.0, -2.0])


def add(*args: torch.Tensor | None) -> torch.Tensor:
    return sum((a for a in args if a is not None), torch.tensor(1))


def pair(*args: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    return add(*args) * 3, -add(*args)


def operation(kernel, inputs: str, outputs: str) -> Operation:
    """Names in one text each; ``_`` stands for none."""
    names = [tuple("" if name == "_" else name for name in text.split()) for text in (inputs, outputs)]
    return Operation(kernel, *names, label=f"the maker of {outputs}")


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Operation], list[str]]:
    """Operations on the inputs a, b, the constant c and what came before, and outputs in any order, some twice."""
    known, operations = ["a", "b", "c"], []
    for i in range(draw(st.integers(0, 7))):
        reads = " ".join(draw(st.lists(st.sampled_from([*known, "_"]), max_size=3)))
        kernel, writes = draw(
            st.sampled_from([(add, f"v{i}"), (pair, f"v{i} w{i}"), (pair, f"_ w{i}"), (pair, f"v{i}")])
        )
        operations.append(operation(kernel, reads, writes))
        known += [name for name in writes.split() if name != "_"]
    return operations, draw(st.lists(st.sampled_from(known), min_size=1, max_size=4))


def interpreted(operations: list[Operation], values: dict[str, torch.Tensor | None]) -> dict[str, torch.Tensor | None]:
    for kernel, inputs, outputs, _ in operations:
        result = kernel(*(values.get(name) for name in inputs))
        values.update(zip(outputs, result if isinstance(result, tuple) else (result,), strict=False))
        values.pop("", None)
    return values


@settings(max_examples=100, deadline=None)
@given(made=programs(), a=st.integers(-9, 9), b=st.integers(-9, 9))
def test_a_program_is_its_operations_in_order(made, a, b):
    operations, outputs = made
    constant = torch.tensor(5)
    program = Program(operations, {"c": constant, "unread": ONE}, ["a", "b"], outputs)
    for sign in (1, -1):  # a call leaves nothing behind for the next
        fed = [torch.tensor(sign * a), torch.tensor(b)]
        values = interpreted(operations, {"a": fed[0], "b": fed[1], "c": constant})
        assert [int(value) for value in program(*fed)] == [int(values[name]) for name in outputs]
    assert int(constant) == 5


def test_absent_inputs_are_none():
    seen = []

    def look(*args: torch.Tensor | None) -> torch.Tensor:
        seen.append(args)
        return ONE

    Program([operation(look, "_ x _", "y")], {}, ["x"], ["y"])(ONE)
    Program([operation(look, "x", "y")], {}, ["x"], ["y"])(None)
    assert seen == [(None, ONE, None), (None,)]


def test_inputs_and_constants_can_be_outputs():
    constant = torch.zeros(3)
    first, second, third = Program([], {"c": constant}, ["x"], ["x", "c", "x"])(ONE)
    assert first is third is ONE and second is constant


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_call_takes_an_argument_for_each_input(count):
    program = Program([operation(add, "a b", "y")], {}, ["a", "b"], ["y"])
    with pytest.raises(ValueError, match="zip"):
        program(*[ONE] * count)


class Watch:
    """Kernels that tell how many tensors that they made are still held when the next one runs."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[torch.Tensor]] = []
        self.alive: list[int] = []

    def _new(self) -> torch.Tensor:
        tensor = torch.zeros(2)
        self.made.append(weakref.ref(tensor))
        return tensor

    def one(self, *args: torch.Tensor) -> torch.Tensor:
        self.alive.append(sum(reference() is not None for reference in self.made))
        return self._new()

    def two(self, *args: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.one(*args), self._new()


def test_a_value_is_held_until_its_last_reader_and_no_longer():
    watch = Watch()
    chain = [("x", "a"), ("a", "b"), ("a", "c"), ("b c", "d"), ("d", "e"), ("e", "f")]
    Program([operation(watch.one, reads, writes) for reads, writes in chain], {}, ["x"], ["d", "f"])(ONE)
    # a is read twice, b waits for c; d is an output and stays
    assert watch.alive == [0, 1, 2, 2, 1, 2]


def test_an_output_that_nobody_reads_is_not_held():
    watch = Watch()
    named, unnamed = operation(watch.two, "x", "a b"), operation(watch.two, "a", "c _")
    Program([named, unnamed, operation(watch.one, "c", "y")], {}, ["x"], ["y"])(ONE)
    assert watch.alive == [0, 1, 1], "neither b nor what has no name"


def test_nothing_of_a_call_outlives_it():
    watch = Watch()
    program = Program([operation(watch.one, "x", "a"), operation(watch.one, "a c", "y")], {"c": ONE}, ["x"], ["y"])
    x = torch.ones(2)
    argument = weakref.ref(x)
    result = program(x)
    del x, result
    assert argument() is None and all(reference() is None for reference in watch.made)
