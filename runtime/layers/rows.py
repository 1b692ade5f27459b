"""Scans of whole rows, where the rows are short enough to stay in registers."""

from collections.abc import Mapping, Sequence

import torch

from spikec.runtime.layers.folding import Folded
from spikec.runtime.layers.scan import Scanner
from spikec.runtime.layers.triton_kernel import MOST_COLUMNS

Tensors = dict[str, torch.Tensor]


class RowScanner:
    """Runs one ``Scan`` with a row axis: as one kernel, or stage by stage where the shapes do not suit it.

    Args:
        scanner: the scan as one.
        apart: the stages that compute the same.
    """

    def __init__(self, scanner: Scanner, apart: Sequence["Scanner | Folded | RowScanner"]) -> None:
        self.scan, self.reads = scanner.scan, scanner.reads
        self._scanner, self._apart = scanner, apart

    def __call__(self, tensors: Mapping[str, torch.Tensor], states: Tensors, steps: int) -> Tensors:
        """See ``Scanner``."""
        if self._suits(tensors, states):
            return self._scanner(tensors, states, steps)
        made: Tensors = {}
        for stage in self._apart:
            made |= stage({**tensors, **made}, states, steps)
        return {name: made[name] for name in self.scan.outputs}

    def _suits(self, tensors: Mapping[str, torch.Tensor], states: Tensors) -> bool:
        """Whether all states, and all stacks of more than a number a step, have rows of one and the same length."""
        assert self.scan.row is not None
        now = [states[name] for name, _ in self.scan.carried]
        now += [tensors[name][0] for name in self._scanner.stacked if tensors[name][0].numel() > 1]
        if len({tensor.ndim for tensor in now}) > 1:
            return False
        lengths = {tensor.shape[self.scan.row] for tensor in now}
        return len(lengths) == 1 and lengths.pop() <= MOST_COLUMNS
