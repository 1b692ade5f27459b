"""What the samples of a batch have said, and when they left it."""

import numpy as np

from spikec.runtime.result import Arrays


class Record:
    """Follows ``samples`` samples until all have left.

    Attributes:
        outputs: by name, (samples, ...); complete when all have left.
        steps: (samples,), the step after which each one left.
        unchanged: (samples left,), the number of steps that have left the class as it was.
    """

    def __init__(self, samples: int) -> None:
        self.outputs: Arrays = {}
        self.steps = np.zeros(samples, np.int64)
        self.unchanged = np.zeros(samples, np.int64)
        self._left = np.arange(samples)
        self._classes: np.ndarray | None = None

    def see(self, classes: np.ndarray) -> None:
        """Take down the class of each sample still here after a step."""
        if self._classes is not None:
            self.unchanged = np.where(classes == self._classes, self.unchanged + 1, 0)
        self._classes = classes

    def leave(self, outputs: Arrays, done: np.ndarray, t: int) -> None:
        """Samples that are ``done`` (n,) leave with their rows of the outputs (n, ...) after step ``t``."""
        for name, value in outputs.items():
            if name not in self.outputs:
                self.outputs[name] = np.zeros((len(self.steps), *value.shape[1:]), value.dtype)
            self.outputs[name][self._left[done]] = value[done]
        self.steps[self._left[done]] = t
        self._left, self.unchanged = self._left[~done], self.unchanged[~done]
        self._classes = None if self._classes is None else self._classes[~done]
