"""Errors of the runtime, each with the exit code the command line ends with when it is not handled."""

from typing import ClassVar


class SpikecRuntimeError(Exception):
    """Any failure while loading or evaluating a graph; catch this to catch them all."""

    exit_code: ClassVar[int] = 3


class UnsupportedOperator(SpikecRuntimeError):
    """A node uses an operator, or a mode of one, that the evaluator does not implement."""

    exit_code: ClassVar[int] = 3


class ArtifactError(SpikecRuntimeError):
    """A compiled file or graph is inconsistent: an undefined value, an unreadable tensor, a broken function."""

    exit_code: ClassVar[int] = 3


class DeviceError(SpikecRuntimeError):
    """The asked device does not exist or cannot hold the evaluation."""

    exit_code: ClassVar[int] = 5


class InputError(SpikecRuntimeError):
    """The values handed to a graph are not the ones it asks for (missing name, wrong shape or type)."""

    exit_code: ClassVar[int] = 2
