"""Evaluation of an ONNX graph with torch, resolved once and then called many times."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from onnx import FunctionProto, NodeProto

from spikec.runtime.errors import ArtifactError, InputError, UnsupportedOperator
from spikec.runtime.torch_ops import HOST_INPUTS, OPERATORS, SEVERAL_OUTPUTS
from spikec.runtime.torch_program import Kernel, Operation, Program
from spikec.runtime.torch_values import constants_from, decode_attributes, function_body, place

__all__ = ["Hook", "TorchGraph", "constants_from"]

Tensor = torch.Tensor
Key = tuple[str, str]
Hook = Callable[[NodeProto, Callable[..., tuple[Tensor, ...]], list[Tensor | None]], tuple[Tensor, ...]]


class TorchGraph:
    """A list of ONNX nodes as one callable from named inputs to the asked outputs.

    Nodes the outputs do not depend on are dropped, nodes that depend on constants alone are
    evaluated here and now. `inputs` names the values a call has to give.
    """

    def __init__(
        self,
        nodes: Sequence[NodeProto],
        outputs: Sequence[str],
        constants: Mapping[str, Tensor],
        functions: Mapping[Key, FunctionProto],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        hooks: Mapping[Key, Hook] | None = None,
    ) -> None:
        """Resolve `nodes` (in topological order); every float of the evaluation has type `dtype`.

        `functions` and `hooks` are looked up by (domain, operator). A hook gets the node, the
        function as a callable and the arguments, and returns the outputs in place of the call.
        Raises UnsupportedOperator for a node that cannot be evaluated.
        """
        self.outputs = tuple(outputs)
        self.dtype = dtype
        self.device = torch.device(device)
        self.hooked = False
        self._functions = {(_domain(domain), name): function for (domain, name), function in functions.items()}
        self._hooks = {(_domain(domain), name): hook for (domain, name), hook in (hooks or {}).items()}
        with torch.inference_mode(), full_precision(self.device):
            known = {name: place(value, dtype, self.device) for name, value in constants.items()}
            operations = self._resolve_all(_needed(nodes, outputs), known)
        self.inputs = _undefined(operations, self.outputs, known)
        self._program = Program(operations, known, self.inputs, self.outputs)

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The asked outputs by name; InputError if one of `self.inputs` is missing.

        Float inputs are converted to the graph's type. Outputs may share memory with inputs or
        with constants: do not write into them.
        """
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise InputError(f"the graph needs values for {missing}; given are {sorted(inputs)}")
        with torch.inference_mode(), full_precision(self.device):
            args = [place(inputs[name], self.dtype, self.device) for name in self.inputs]
            return dict(zip(self.outputs, self._program(*args), strict=True))

    def positional(self, names: Sequence[str]) -> Callable[..., tuple[Tensor, ...]]:
        """The bare evaluation as a function of tensors in the order of ``names``, which hold all of ``inputs``.

        It converts nothing; outputs come in order.
        """
        program, positions = self._program, tuple(names.index(name) for name in self.inputs)
        return lambda *args: program(*[args[position] for position in positions])

    def _resolve_all(self, nodes: Sequence[NodeProto], known: dict[str, Tensor]) -> list[Operation]:
        """Operations of the nodes that depend on inputs; the values of all others go into `known`."""
        operations = []
        for node in nodes:
            kernel, foldable = self._resolve(node, known)
            names = self._argument_names(node, known)
            operation = Operation(kernel, names, tuple(node.output), _label(node))
            if foldable and all(name in known or not name for name in names):
                values = Program([operation], known, (), [name for name in node.output if name])()
                known.update(zip((name for name in node.output if name), values, strict=True))
            else:
                operations.append(operation)
        return operations

    def _argument_names(self, node: NodeProto, known: dict[str, Tensor]) -> tuple[str, ...]:
        """Input names of `node`; a constant that is read as numbers gets a copy in main memory.

        Without the copy every call on an accelerator would wait for the accelerator.
        """
        names = list(node.input)
        read_as_numbers = _key(node)[0] == "" and not _is_main_memory(self.device)
        for position in HOST_INPUTS.get(node.op_type, ()) if read_as_numbers else ():
            if position < len(names) and names[position] in known:
                copy = f"{names[position]}@host"
                known[copy] = known[names[position]].cpu()
                names[position] = copy
        return tuple(names)

    def _resolve(self, node: NodeProto, known: Mapping[str, Tensor]) -> tuple[Kernel, bool]:
        """The kernel of `node`, and whether it always gives the same for the same arguments."""
        domain, operator = key = _key(node)
        if key in self._functions:
            return self._resolve_call(node, self._functions[key], known)
        builder = OPERATORS.get(operator) if domain == "" else None
        if builder is None:
            raise UnsupportedOperator(
                f"{_label(node)}: operator {operator!r} of domain {domain or 'ai.onnx'!r} is not implemented and no "
                "model-local function defines it; rewrite it with supported operators or add the function to the model"
            )
        if operator not in SEVERAL_OUTPUTS and any(node.output[1:]):
            raise UnsupportedOperator(
                f"{_label(node)}: only the first output is computed, but {list(node.output[1:])} are asked for; "
                "remove the uses of the other outputs"
            )
        return builder(decode_attributes(node, self.dtype, self.device), node), True

    def _resolve_call(
        self, node: NodeProto, function: FunctionProto, known: Mapping[str, Tensor]
    ) -> tuple[Kernel, bool]:
        hook = self._hooks.get(_key(node))
        arguments = dict(zip(function.input, node.input, strict=False))
        # A hook may change any argument, so only a plain call is specialised to its constant ones.
        fixed = {formal: known[name] for formal, name in arguments.items() if name in known and hook is None}
        body = TorchGraph(
            function_body(function, node), function.output, fixed, self._functions,
            dtype=self.dtype, device=self.device, hooks=self._hooks,
        )  # fmt: skip
        self.hooked |= body.hooked or hook is not None
        call = _positional(body, function, node)
        return (call if hook is None else _hooked(hook, node, call)), hook is None and not body.hooked


def _positional(body: TorchGraph, function: FunctionProto, node: NodeProto) -> Callable[..., tuple[Tensor, ...]]:
    """`body` as a callable on all arguments of the function; arguments left out are None."""
    formals = list(function.input)
    strangers = [name for name in body.inputs if name not in formals]
    if strangers or len(node.input) > len(formals):
        raise ArtifactError(
            f"{_label(node)}: the function has inputs {formals}, the call gives {len(node.input)}, "
            f"and the body reads the undefined {strangers}"
        )
    program, count = body._program, len(formals)
    positions = tuple(formals.index(name) for name in body.inputs)

    def call(*args: Tensor | None) -> tuple[Tensor, ...]:
        padded = args + (None,) * (count - len(args))
        return program(*[padded[position] for position in positions])

    return call


def _hooked(hook: Hook, node: NodeProto, call: Callable[..., tuple[Tensor, ...]]) -> Kernel:
    return lambda *args: hook(node, call, list(args))


def _is_main_memory(device: torch.device) -> bool:
    return device.type == "cpu"


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _key(node: NodeProto) -> Key:
    return _domain(node.domain), node.op_type


def _label(node: NodeProto) -> str:
    return f"{node.op_type} node {node.name or ', '.join(node.output)!r}"


def _needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes `outputs` depend on, in the same order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(name for name in node.output if name):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _undefined(operations: Sequence[Operation], outputs: Sequence[str], known: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Names that are read but neither constant nor computed: the graph's inputs, in order of first use."""
    made: set[str] = {"", *known}
    found: dict[str, None] = {}
    for operation in operations:
        found.update(dict.fromkeys(name for name in operation.inputs if name not in made))
        made.update(operation.outputs)
    late = sorted(found.keys() & made)
    if late:
        raise ArtifactError(f"the values {late} are read before the nodes that compute them; sort the nodes")
    found.update(dict.fromkeys(name for name in outputs if name not in made))
    return tuple(found)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keeps convolutions on CUDA in true float32: the default rounds their operands to 10 bits of mantissa."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
