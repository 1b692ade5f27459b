"""Nodes without memory, evaluated for all steps at once: time is one more batch axis."""

from collections.abc import Callable, Mapping, Sequence, Set

import torch
from onnx import NodeProto

from spikec.runtime.layers.plan import Fold
from spikec.runtime.torch_backend import TorchBackend
from spikec.runtime.torch_graph import TorchGraph
from spikec.runtime.torch_ops import HOST_INPUTS

Tensor = torch.Tensor
Tensors = dict[str, Tensor]
Evaluate = Callable[..., tuple[Tensor, ...]]


# the operators that take most of the time, and that hardware serves in lower precision
MATRIX = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})
# the operators that move elements and compute nothing: they keep the type
MOVES = frozenset(
    {"Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip


class Folded:
    """One ``Fold``: its nodes over a stretch of time.

    Matrix products and convolutions are computed in the backend's ``matrix_dtype``; sums and everything else in its
    ``dtype``.
    """

    def __init__(self, fold: Fold, stacked: Set[str], engine: TorchBackend) -> None:
        self.fold = fold
        operators = {node.op_type for node in fold.nodes}
        moves = operators <= MOVES or fold.kind == "shape"
        self.dtype = engine.matrix_dtype if operators <= MATRIX else None if moves else engine.dtype
        known = {name: engine.constants[name] for name in _names(fold.nodes) if name in engine.constants}
        if "Conv" in operators:
            known = {name: channels_last(tensor) for name, tensor in known.items()}
        dtype = self.dtype or engine.dtype
        graph = TorchGraph(fold.nodes, fold.outputs, known, {}, dtype=dtype, device=engine.device)
        self.reads = graph.inputs
        self.numbers = _read_as_numbers(fold.nodes)
        self.axes = tuple(0 if name in stacked else None for name in graph.inputs)
        self._call = graph.positional(graph.inputs)
        ways = {"fold": self._all_steps, "clock": self._each_step, "shape": self._one_step}
        self._evaluate: Evaluate = ways.get(fold.kind, self._call)

    def __call__(self, tensors: Mapping[str, Tensor], states: Tensors, steps: int) -> Tensors:
        """The outputs, with a value for each step (steps, ...) where they change with time."""
        try:
            results = self._evaluate(*[self._argument(name, tensors) for name in self.reads])
        except Exception as error:
            error.add_note(f"while evaluating '{self.fold.label}' for {steps} steps at once")
            raise
        return dict(zip(self.fold.outputs, results, strict=True))

    def _argument(self, name: str, tensors: Mapping[str, Tensor]) -> Tensor:
        if name in self.numbers and on_host(name) in tensors:
            return tensors[on_host(name)]
        tensor = tensors[name]
        return tensor.to(self.dtype) if self.dtype and tensor.is_floating_point() else tensor

    def _all_steps(self, *args: Tensor) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = torch.func.vmap(self._call, in_dims=self.axes)(*args)
        return results

    def _each_step(self, *args: Tensor) -> tuple[Tensor, ...]:
        """What depends on the clock alone is small."""
        length = next(len(arg) for arg, axis in zip(args, self.axes, strict=True) if axis == 0)
        steps = [self._call(*self._at(t, args)) for t in range(length)]
        return tuple(torch.stack(values) for values in zip(*steps, strict=True))

    def _one_step(self, *args: Tensor) -> tuple[Tensor, ...]:
        """All steps have one shape."""
        return self._call(*self._at(0, args))

    def _at(self, t: int, args: Sequence[Tensor]) -> list[Tensor]:
        return [arg if axis is None else arg[t] for arg, axis in zip(args, self.axes, strict=True)]


def on_host(name: str) -> str:
    """The name of a tensor's copy in main memory, where the host reads its numbers without waiting for a device."""
    return f"{name}@host"


def _read_as_numbers(nodes: Sequence[NodeProto]) -> set[str]:
    """The tensors that ``nodes`` read as shapes and axes, and in no other way."""
    places = [(name, i in HOST_INPUTS.get(node.op_type, ())) for node in nodes for i, name in enumerate(node.input)]
    return {name for name, _ in places} - {name for name, as_numbers in places if not as_numbers}


def channels_last(tensor: Tensor) -> Tensor:
    """Images, and weights of their convolutions, in the order that convolutions of many images are fastest in."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _names(nodes: tuple[NodeProto, ...]) -> set[str]:
    return {name for node in nodes for name in node.input}
