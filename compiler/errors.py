"""Errors that a user sees. Each kind has the exit code that the command line returns for it."""


class SpikecError(Exception):
    """Base of all errors that the compiler raises on purpose."""

    exit_code: int = 4


class CheckFailed(SpikecError):
    """A numeric check did not pass."""

    exit_code = 1


class UsageError(SpikecError):
    """An argument, option or data file is wrong."""

    exit_code = 2


class ModelError(SpikecError):
    """The model is invalid, or holds something that cannot be converted."""

    exit_code = 3


class InternalError(SpikecError):
    """The compiler itself is at fault: a rewrite changed the network's outputs, for example."""

    exit_code = 4


class EnvironmentMissing(SpikecError):
    """Something outside the project is absent: a GPU, an execution provider, a package."""

    exit_code = 5
